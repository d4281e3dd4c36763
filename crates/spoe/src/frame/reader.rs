//! A cursor over a payload, shared by the decoders: every step checks the length first and says where it failed.

use super::typed_data::TypedData;
use super::{DecodeError, DecodeErrorKind, varint};

/// Reads values one after the other; `at` never passes the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// What lies between an earlier position of this reader and now.
    pub(crate) fn since(&self, from: usize) -> &'a [u8] {
        &self.bytes[from..self.at]
    }

    pub(crate) fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(kind, self.at)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.error(DecodeErrorKind::Truncated))?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let (value, used) =
            varint::decode(self.rest()).map_err(|e| DecodeError::new(e.kind, self.at + e.offset))?;
        self.at += used;
        Ok(value)
    }

    #[inline]
    pub(crate) fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let rest = self.rest();
        if len > rest.len() as u64 {
            return Err(self.error(DecodeErrorKind::Truncated));
        }
        let (taken, _) = rest.split_at(len as usize);
        self.at += taken.len();
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let taken = self.take(N as u64)?;
        Ok(taken.try_into().expect("invariant: take gives what was asked for"))
    }

    /// A varint length and that many bytes: a name, or the body of a string.
    #[inline]
    pub(crate) fn name(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint()?;
        self.take(len)
    }
}

/// The name-value pairs of a HELLO or DISCONNECT payload, in the order of the wire.
#[derive(Clone, Debug)]
pub struct KvReader<'a> {
    reader: Reader<'a>,
}

impl<'a> KvReader<'a> {
    /// Reads `payload`, which must hold the list and nothing else.
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload) }
    }

    pub(crate) const fn at(&self) -> usize {
        self.reader.at()
    }

    fn pair(&mut self) -> Result<(&'a [u8], TypedData<'a>), DecodeError> {
        let name = self.reader.name()?;
        Ok((name, TypedData::read(&mut self.reader)?))
    }
}

impl<'a> Iterator for KvReader<'a> {
    type Item = Result<(&'a [u8], TypedData<'a>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let pair = self.pair();
        if pair.is_err() {
            // A broken pair ends the list: what follows has no known start.
            self.reader = Reader::new(&[]);
        }
        Some(pair)
    }
}

/// Appends a varint length and the bytes.
#[inline]
pub(crate) fn encode_name(name: &[u8], out: &mut Vec<u8>) {
    varint::encode(name.len() as u64, out);
    out.extend_from_slice(name);
}
