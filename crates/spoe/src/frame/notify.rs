//! The payload of NOTIFY: messages, each with a name and named arguments.
//!
//! Source: SPOE.txt §3.2.6, §3.3.

use std::fmt;

use super::reader::{Reader, encode_name};
use super::{DecodeError, TypedData};

/// The messages of a payload, in the order of the wire.
#[derive(Clone, Debug)]
pub struct MessageReader<'a> {
    reader: Reader<'a>,
}

impl<'a> MessageReader<'a> {
    /// Reads a whole payload: that of one NOTIFY, or the fragments of one put together.
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload) }
    }

    #[inline]
    fn message(&mut self) -> Result<Message<'a>, DecodeError> {
        let name = self.reader.name()?;
        let nb_args = self.reader.u8()?;
        let arguments = self.reader;
        // A copy keeps the cursor in registers.
        let mut reader = self.reader;
        for _ in 0..nb_args {
            reader.name()?;
            TypedData::skip(&mut reader)?;
        }
        self.reader = reader;
        Ok(Message { name, nb_args, arguments: reader.since(&arguments) })
    }
}

impl<'a> Iterator for MessageReader<'a> {
    type Item = Result<Message<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let message = self.message();
        if message.is_err() {
            // A broken message ends the list: what follows has no known start.
            self.reader = Reader::new(&[]);
        }
        Some(message)
    }
}

/// One message, whole and readable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The name of the `spoe-message` section.
    pub name: &'a [u8],
    nb_args: u8,
    // INVARIANT: `nb_args` arguments that were read once without error.
    arguments: &'a [u8],
}

impl<'a> Message<'a> {
    /// The arguments, in declaration order.
    #[inline]
    pub fn args(&self) -> Arguments<'a> {
        Arguments { reader: Reader::new(self.arguments), left: self.nb_args }
    }

    /// The value of the first argument of that name.
    #[inline]
    pub fn arg(&self, name: impl AsRef<[u8]>) -> Option<TypedData<'a>> {
        let name = name.as_ref();
        self.args().find(|argument| argument.name == name).map(|argument| argument.value)
    }

    /// Whether this is the message of that name.
    #[inline]
    pub fn is(&self, name: impl AsRef<[u8]>) -> bool {
        self.name == name.as_ref()
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name.escape_ascii())?;
        f.debug_list().entries(self.args()).finish()
    }
}

/// A named value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Argument<'a> {
    /// Its name; empty if the configuration gave none.
    pub name: &'a [u8],
    /// Its value.
    pub value: TypedData<'a>,
}

impl fmt::Debug for Argument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}", self.name.escape_ascii(), self.value)
    }
}

/// The arguments of a [`Message`].
#[derive(Clone, Debug)]
pub struct Arguments<'a> {
    reader: Reader<'a>,
    left: u8,
}

impl<'a> Iterator for Arguments<'a> {
    type Item = Argument<'a>;

    #[inline]
    fn next(&mut self) -> Option<Argument<'a>> {
        self.left = self.left.checked_sub(1)?;
        let name = self.reader.name().ok()?;
        let value = TypedData::read(&mut self.reader).ok()?;
        Some(Argument { name, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.into(), Some(self.left.into()))
    }
}

/// Writes messages behind one another into a buffer.
///
/// ```
/// use spoe::frame::{MessageReader, NotifyWriter, TypedData};
/// let mut payload = Vec::new();
/// let mut writer = NotifyWriter::new(&mut payload);
/// writer.message("check-ip").arg("ip", TypedData::Ipv4([192, 0, 2, 1].into())).arg("path", "/".into());
/// let message = MessageReader::new(&payload).next().unwrap().unwrap();
/// assert_eq!(message.arg("path"), Some("/".into()));
/// ```
#[derive(Debug)]
pub struct NotifyWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    count_at: Option<usize>,
    overflow: bool,
}

impl<'a> NotifyWriter<'a> {
    /// Appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start, count_at: None, overflow: false }
    }

    /// Begins a message; arguments that follow belong to it.
    #[inline]
    pub fn message(&mut self, name: impl AsRef<[u8]>) -> &mut Self {
        encode_name(name.as_ref(), self.out);
        self.count_at = Some(self.out.len());
        self.out.push(0);
        self
    }

    /// Adds an argument to the message begun last; an empty name means "unnamed".
    ///
    /// An argument before the first message, or after the 255th, is not written: [`overflowed`](Self::overflowed) tells, and
    /// the payload must not be sent.
    #[inline]
    pub fn arg(&mut self, name: impl AsRef<[u8]>, value: TypedData<'_>) -> &mut Self {
        let count = self.count_at.map(|at| &mut self.out[at]);
        match count.and_then(|count| count.checked_add(1).map(|next| *count = next)) {
            Some(()) => {
                encode_name(name.as_ref(), self.out);
                value.encode(self.out);
            }
            None => self.overflow = true,
        }
        self
    }

    /// Whether nothing was written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.out.len() == self.start
    }

    /// Whether an argument could not be counted, so that the payload is not what was asked for.
    #[inline]
    pub fn overflowed(&self) -> bool {
        self.overflow
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_256th_argument_is_refused() {
        let mut out = Vec::new();
        let mut writer = NotifyWriter::new(&mut out);
        writer.message("m");
        for _ in 0..255 {
            writer.arg("", TypedData::Null);
        }
        assert!(!writer.overflowed());
        writer.arg("", TypedData::Null);
        assert!(writer.overflowed());
        assert_eq!(MessageReader::new(&out).next().unwrap().unwrap().args().count(), 255);
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(
            messages in proptest::collection::vec(
                (".{0,20}", proptest::collection::vec((".{0,9}", any::<i64>()), 0..9)),
                0..5,
            ),
        ) {
            let mut out = Vec::new();
            let mut writer = NotifyWriter::new(&mut out);
            for (name, args) in &messages {
                writer.message(name);
                for (name, value) in args {
                    writer.arg(name, (*value).into());
                }
            }
            let read: Vec<_> = MessageReader::new(&out).map(|m| m.unwrap()).collect();
            prop_assert_eq!(read.len(), messages.len());
            for (read, (name, args)) in read.iter().zip(&messages) {
                prop_assert!(read.is(name));
                let got: Vec<_> = read.args().map(|a| (a.name, a.value)).collect();
                let want: Vec<_> = args.iter().map(|(n, v)| (n.as_bytes(), TypedData::from(*v))).collect();
                prop_assert_eq!(got, want);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            for message in MessageReader::new(&bytes).flatten() {
                prop_assert_eq!(message.args().count(), usize::from(message.nb_args));
            }
        }
    }
}
