//! A message head: start line and header fields as an index over the bytes that came in.
//!
//! The received head is copied once into the message's own arena; every part is a range of it.
//! Changes append to the same arena and move ranges, so nothing is allocated per header and the
//! whole structure is recycled from exchange to exchange ([`Message::clear`] keeps the memory).
//! Header names keep their case, lines their order.
//!
//! INVARIANT: no part of a message holds CR, LF or NUL; names and the method are tokens; the
//! target holds neither space nor control byte. Whatever breaks this is refused with
//! [`InvalidText`] and leaves the message as it was.

mod edit;
mod received;
mod wire;

use memchr::{memchr, memchr3};

use super::text;

/// The HTTP version of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

impl Version {
    /// As it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// A text that may not stand where it was to be put: it would change where a line or the message
/// ends, or the head would outgrow [`HEAD_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid text in an http message")]
pub struct InvalidText;

/// Upper bound of what a message head may grow to by changes, in bytes.
pub const HEAD_MAX: usize = 1 << 20;

/// A request or response head. Empty when default or cleared: neither request nor response.
#[derive(Default)]
pub struct Message {
    arena: Vec<u8>,
    fields: Vec<Field>,
    start: Start,
    version: Version,
    /// Live bytes of the start line and all fields, framing of lines included.
    live: usize,
    /// A line that says where the body ends was added, changed or removed.
    framing_edited: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Start {
    #[default]
    Empty,
    Request {
        method: Range,
        uri: Range,
    },
    Response {
        status: u16,
        reason: Range,
    },
}

/// A piece of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) at: u32,
    pub(crate) len: u32,
}

impl Range {
    fn end(self) -> usize {
        (self.at + self.len) as usize
    }
}

/// One header line.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: Range,
    value: Range,
    /// The line stands in the arena exactly as it goes out.
    canonical: bool,
}

impl Field {
    /// Bytes of the line on the wire.
    fn wire_len(&self) -> usize {
        (self.name.len + self.value.len) as usize + 4
    }
}

impl Message {
    /// Whether it holds a request head.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// Whether it holds a response head.
    #[must_use]
    pub fn is_response(&self) -> bool {
        matches!(self.start, Start::Response { .. })
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.start, Start::Empty)
    }

    /// The method; empty unless it is a request.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        match self.start {
            Start::Request { method, .. } => self.bytes(method),
            _ => b"",
        }
    }

    /// The request target as it stands on the request line.
    #[must_use]
    pub fn uri(&self) -> &[u8] {
        match self.start {
            Start::Request { uri, .. } => self.bytes(uri),
            _ => b"",
        }
    }

    /// The path: from the first slash behind scheme and authority to before the question mark.
    /// Empty for `*`, for CONNECT, and for an absolute target without a path.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        let uri = self.uri();
        let (from, to) = path_bounds(uri);
        &uri[from..to]
    }

    /// What follows the first question mark.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        let uri = self.uri();
        memchr(b'?', uri).map(|mark| &uri[mark + 1..])
    }

    /// The version on the start line.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The status code; 0 unless it is a response.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.start {
            Start::Response { status, .. } => status,
            _ => 0,
        }
    }

    /// The reason phrase.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        match self.start {
            Start::Response { reason, .. } => self.bytes(reason),
            _ => b"",
        }
    }

    /// The header lines in order: name and value.
    #[must_use]
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + DoubleEndedIterator + Clone {
        self.fields.iter().map(|f| (self.bytes(f.name), self.bytes(f.value)))
    }

    /// The first line of that name; the name is compared without regard to case.
    #[must_use]
    pub fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields.iter().find(|f| self.is_named(f, name)).map(|f| self.bytes(f.value))
    }

    /// How many header lines there are.
    #[must_use]
    pub fn header_count(&self) -> usize {
        self.fields.len()
    }

    /// Every line of that name, whole, in order.
    pub fn header_lines<'a>(&'a self, name: &'a [u8]) -> impl DoubleEndedIterator<Item = &'a [u8]> + Clone {
        self.fields.iter().filter(move |f| self.is_named(f, name)).map(|f| self.bytes(f.value))
    }

    /// The comma-separated values of all lines of that name, trimmed. Commas within quotes do not
    /// separate. Every comma does otherwise, dates and cookies included: use
    /// [`Message::header_lines`] for those.
    pub fn header_values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.header_lines(name).flat_map(text::split_values)
    }

    /// Whether a line of that name lists this word, without regard to case (`connection: close`).
    #[must_use]
    pub fn header_has_token(&self, name: &[u8], token: &[u8]) -> bool {
        self.header_values(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.fields.clear();
        self.start = Start::Empty;
        self.version = Version::Http11;
        self.live = 0;
        self.framing_edited = false;
    }

    /// Empties it and gives its memory back.
    pub fn release(&mut self) {
        *self = Self::default();
    }

    /// Bytes of memory it holds for texts.
    pub(crate) fn capacity(&self) -> usize {
        self.arena.capacity()
    }

    fn bytes(&self, range: Range) -> &[u8] {
        slice(&self.arena, range)
    }

    fn is_named(&self, field: &Field, name: &[u8]) -> bool {
        field.name.len as usize == name.len() && self.bytes(field.name).eq_ignore_ascii_case(name)
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut start = Vec::new();
        self.write_start_line(&mut start);
        f.debug_struct("Message")
            .field("start", &String::from_utf8_lossy(&start))
            .field("headers", &self.headers().map(|(n, v)| lossy_line(n, v)).collect::<Vec<_>>())
            .finish()
    }
}

fn lossy_line(name: &[u8], value: &[u8]) -> String {
    format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
}

fn slice(arena: &[u8], range: Range) -> &[u8] {
    &arena[range.at as usize..range.end()]
}

/// A range of the arena; heads are bounded far below 4 GiB.
pub(crate) fn range_of(at: usize, len: usize) -> Range {
    let fits = "a message head stays below 4 GiB";
    Range { at: u32::try_from(at).expect(fits), len: u32::try_from(len).expect(fits) }
}

/// Where the path begins and ends within a request target.
fn path_bounds(uri: &[u8]) -> (usize, usize) {
    let mark = memchr(b'?', uri).unwrap_or(uri.len());
    let from = match uri.first() {
        Some(b'/') => 0,
        Some(b'*') | None => return (mark, mark),
        Some(_) => match memchr3(b':', b'/', b'?', uri) {
            Some(colon) if uri[colon..].starts_with(b"://") => {
                memchr(b'/', &uri[colon + 3..mark]).map_or(mark, |slash| colon + 3 + slash)
            }
            Some(slash) if uri[slash] == b'/' => slash,
            _ => mark,
        },
    };
    (from.min(mark), mark)
}
