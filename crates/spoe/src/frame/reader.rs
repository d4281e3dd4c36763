//! A cursor over a payload, shared by the decoders: every step checks the length first and says where it failed.

use super::typed_data::TypedData;
use super::{DecodeError, DecodeErrorKind, varint};

/// Reads values one after the other. Holds what is left rather than an offset, so that each step is one comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Bytes there were at first; offsets of errors come from it.
    total: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, total: bytes.len() }
    }

    #[inline]
    pub(crate) const fn at(&self) -> usize {
        self.total - self.rest.len()
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// What lies between an earlier state of this reader and now.
    #[inline]
    pub(crate) fn since(&self, earlier: &Self) -> &'a [u8] {
        &earlier.rest[..earlier.rest.len() - self.rest.len()]
    }

    #[cold]
    pub(crate) fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(kind, self.at())
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        match self.rest {
            [byte, rest @ ..] => {
                self.rest = rest;
                Ok(*byte)
            }
            [] => Err(self.error(DecodeErrorKind::Truncated)),
        }
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 240 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        match varint::decode(self.rest) {
            Ok((value, used)) => {
                self.rest = &self.rest[used..];
                Ok(value)
            }
            Err(error) => Err(DecodeError::new(error.kind, self.at() + error.offset as usize)),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        match split {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.error(DecodeErrorKind::Truncated)),
        }
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.error(DecodeErrorKind::Truncated)),
        }
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
