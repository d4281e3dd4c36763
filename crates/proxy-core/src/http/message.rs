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

use memchr::{memchr, memchr3};

use super::{status, text};
use crate::applet::{Form, Reply};

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

    /// Appends the start line without its line end.
    pub fn write_start_line(&self, out: &mut Vec<u8>) {
        match self.start {
            Start::Empty => {}
            Start::Request { method, uri } => {
                out.extend_from_slice(self.bytes(method));
                out.push(b' ');
                out.extend_from_slice(self.bytes(uri));
                out.push(b' ');
                out.extend_from_slice(self.version.as_str().as_bytes());
            }
            Start::Response { status, reason } => {
                out.extend_from_slice(self.version.as_str().as_bytes());
                out.push(b' ');
                out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
                out.push(b' ');
                out.extend_from_slice(self.bytes(reason));
            }
        }
    }

    /// Appends the header lines with their line ends, without the empty line.
    ///
    /// Neighbouring lines that stand in the arena as they go out are copied as one piece: a head
    /// that nobody changed costs one copy.
    pub fn write_headers(&self, out: &mut Vec<u8>) {
        let mut run: Option<(usize, usize)> = None;
        for field in &self.fields {
            let (from, to) = (field.name.at as usize, field.value.end() + 2);
            if !field.canonical {
                self.flush_run(&mut run, out);
                out.extend_from_slice(self.bytes(field.name));
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.bytes(field.value));
                out.extend_from_slice(b"\r\n");
                continue;
            }
            match &mut run {
                Some((_, end)) if *end == from => *end = to,
                _ => {
                    self.flush_run(&mut run, out);
                    run = Some((from, to));
                }
            }
        }
        self.flush_run(&mut run, out);
    }

    /// Bytes that start line and header lines take on the wire, the closing empty line included.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.live + 2
    }

    // ---- changes ----

    /// Makes it a request without headers.
    ///
    /// # Errors
    /// A method that is no token, or a target with a space or control byte.
    pub fn set_request(&mut self, method: &[u8], uri: &[u8], version: Version) -> Result<(), InvalidText> {
        if !text::is_token(method) || !text::is_target(uri) {
            return Err(InvalidText);
        }
        self.clear();
        let method = self.append(method)?;
        let uri = self.append(uri)?;
        self.version = version;
        self.start = Start::Request { method, uri };
        self.live = (method.len + uri.len) as usize + 12;
        Ok(())
    }

    /// Makes it a response without headers. `None` for the usual reason phrase.
    ///
    /// # Errors
    /// A status outside 100 to 999, or a reason with a control byte.
    pub fn set_response(
        &mut self,
        status: u16,
        reason: Option<&[u8]>,
        version: Version,
    ) -> Result<(), InvalidText> {
        let reason = reason.unwrap_or_else(|| status::reason(status).as_bytes());
        if !(100..=999).contains(&status) || !text::is_reason(reason) {
            return Err(InvalidText);
        }
        self.clear();
        let reason = self.append(reason)?;
        self.version = version;
        self.start = Start::Response { status, reason };
        self.live = reason.len as usize + 15;
        Ok(())
    }

    /// Makes it the head of a ready-made answer: status, reason and headers, nothing added.
    ///
    /// # Errors
    /// A part of the answer may not stand where it was to be put; the message is empty then.
    pub fn set_reply(&mut self, reply: &Reply) -> Result<(), InvalidText> {
        let filled = self.fill_from_reply(reply);
        if filled.is_err() {
            self.clear();
        }
        filled
    }

    /// The head of a ready-made answer.
    ///
    /// # Errors
    /// As [`Message::set_reply`].
    pub fn from_reply(reply: &Reply) -> Result<Self, InvalidText> {
        let mut message = Self::default();
        message.set_reply(reply)?;
        Ok(message)
    }

    /// Replaces the method.
    ///
    /// # Errors
    /// No token, or not a request.
    pub fn set_method(&mut self, new: &[u8]) -> Result<(), InvalidText> {
        let Start::Request { method, uri } = self.start else { return Err(InvalidText) };
        if !text::is_token(new) {
            return Err(InvalidText);
        }
        let new = self.append(new)?;
        self.live = self.live - method.len as usize + new.len as usize;
        self.start = Start::Request { method: new, uri };
        Ok(())
    }

    /// Replaces the whole request target.
    ///
    /// # Errors
    /// Empty, with a space or control byte, or not a request.
    pub fn set_uri(&mut self, new: &[u8]) -> Result<(), InvalidText> {
        let Start::Request { method, uri } = self.start else { return Err(InvalidText) };
        if !text::is_target(new) {
            return Err(InvalidText);
        }
        let new = self.append(new)?;
        self.live = self.live - uri.len as usize + new.len as usize;
        self.start = Start::Request { method, uri: new };
        Ok(())
    }

    /// Replaces the path; scheme, authority and query stay. A target without path (`*`) is
    /// replaced as a whole.
    ///
    /// # Errors
    /// As [`Message::set_uri`].
    pub fn set_path(&mut self, new: &[u8]) -> Result<(), InvalidText> {
        let uri = self.uri();
        let (from, to) = path_bounds(uri);
        let kept = if from == to && uri == b"*" {
            (b"".as_slice(), b"".as_slice())
        } else {
            (&uri[..from], &uri[to..])
        };
        let whole = [kept.0, new, kept.1].concat();
        self.set_uri(&whole)
    }

    /// Replaces what follows the question mark. One is added if there is none and `new` is not
    /// empty; one that is there stays.
    ///
    /// # Errors
    /// As [`Message::set_uri`].
    pub fn set_query(&mut self, new: &[u8]) -> Result<(), InvalidText> {
        let uri = self.uri();
        let mark = memchr(b'?', uri);
        if mark.is_none() && new.is_empty() {
            return if self.is_request() { Ok(()) } else { Err(InvalidText) };
        }
        let whole = [&uri[..mark.unwrap_or(uri.len())], b"?", new].concat();
        self.set_uri(&whole)
    }

    /// Replaces status and reason. `None` for the usual phrase.
    ///
    /// # Errors
    /// A status outside 100 to 999, a reason with a control byte, or not a response.
    pub fn set_status(&mut self, status: u16, reason: Option<&[u8]>) -> Result<(), InvalidText> {
        let Start::Response { reason: old, .. } = self.start else { return Err(InvalidText) };
        let reason = reason.unwrap_or_else(|| status::reason(status).as_bytes());
        if !(100..=999).contains(&status) || !text::is_reason(reason) {
            return Err(InvalidText);
        }
        let new = self.append(reason)?;
        self.live = self.live - old.len as usize + new.len as usize;
        self.start = Start::Response { status, reason: new };
        Ok(())
    }

    /// Changes the version on the start line.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Appends a header line.
    ///
    /// # Errors
    /// A name that is no token, or a value with CR, LF or NUL.
    pub fn add_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidText> {
        if !text::is_token(name) || !text::is_value(value) {
            return Err(InvalidText);
        }
        let field = self.append_line(name, value)?;
        self.note_edit(name);
        self.live += field.wire_len();
        self.fields.push(field);
        Ok(())
    }

    /// Removes every line of that name, then appends one.
    ///
    /// # Errors
    /// As [`Message::add_header`].
    pub fn set_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidText> {
        if !text::is_token(name) || !text::is_value(value) {
            return Err(InvalidText);
        }
        let field = self.append_line(name, value)?;
        self.del_header(name);
        self.live += field.wire_len();
        self.fields.push(field);
        Ok(())
    }

    /// Removes every line of that name; whether there was one.
    pub fn del_header(&mut self, name: &[u8]) -> bool {
        self.retain_headers(|found, _| !found.eq_ignore_ascii_case(name))
    }

    /// Keeps the lines for which `keep` holds; whether any went.
    pub fn retain_headers(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) -> bool {
        let before = self.fields.len();
        let (arena, live, edited) = (&self.arena, &mut self.live, &mut self.framing_edited);
        self.fields.retain(|field| {
            let name = slice(arena, field.name);
            let kept = keep(name, slice(arena, field.value));
            if !kept {
                *live -= field.wire_len();
                *edited |= is_framing(name);
            }
            kept
        });
        before != self.fields.len()
    }

    /// Offers every line of that name to `edit`, whole; what it gives replaces the line's value.
    /// Gives the number of lines replaced.
    ///
    /// # Errors
    /// A value with CR, LF or NUL; then no line is changed.
    pub fn replace_header(
        &mut self,
        name: &[u8],
        mut edit: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<usize, InvalidText> {
        self.edit_lines(name, |line| edit(line))
    }

    /// Offers every comma-separated value of the lines of that name to `edit`; what it gives
    /// replaces that value, the rest of the line stays. Gives the number of lines changed.
    ///
    /// # Errors
    /// As [`Message::replace_header`].
    pub fn replace_value(
        &mut self,
        name: &[u8],
        mut edit: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<usize, InvalidText> {
        self.edit_lines(name, |line| {
            let mut new: Option<Vec<u8>> = None;
            let mut copied = 0;
            for value in text::split_values(line) {
                let Some(replaced) = edit(value) else { continue };
                let from = value.as_ptr() as usize - line.as_ptr() as usize;
                let out = new.get_or_insert_default();
                out.extend_from_slice(&line[copied..from]);
                out.extend_from_slice(&replaced);
                copied = from + value.len();
            }
            new.map(|mut out| {
                out.extend_from_slice(&line[copied..]);
                out
            })
        })
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

    // ---- for the parser and the client ----

    /// An empty one with memory for a head of so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self { arena: Vec::with_capacity(bytes), fields: Vec::with_capacity(8), ..Self::default() }
    }

    /// Starts over with a received head: the ranges of its request line. Checked by the caller, who
    /// then adds those of the header lines and the bytes they are ranges of.
    pub(crate) fn index_request(&mut self, method: Range, uri: Range, version: Version) {
        self.clear();
        self.version = version;
        self.start = Start::Request { method, uri };
        self.live = (method.len + uri.len) as usize + 12;
    }

    /// The same for a status line.
    pub(crate) fn index_response(&mut self, status: u16, reason: Range, version: Version) {
        self.clear();
        self.version = version;
        self.start = Start::Response { status, reason };
        self.live = reason.len as usize + 15;
    }

    /// One header line's parts, and whether it stands there as it goes out. Checked by the caller.
    pub(crate) fn index_header(&mut self, name: Range, value: Range, canonical: bool) {
        let field = Field { name, value, canonical };
        self.live += field.wire_len();
        self.fields.push(field);
    }

    /// The head itself, whose parts were given.
    pub(crate) fn fill(&mut self, head: &[u8]) {
        self.arena.extend_from_slice(head);
    }

    /// Whether a line that says where the body ends was touched since the head was filled in. The
    /// framing that goes out must then be written anew.
    pub(crate) fn framing_edited(&self) -> bool {
        self.framing_edited
    }

    // ---- inside ----

    fn note_edit(&mut self, name: &[u8]) {
        self.framing_edited |= is_framing(name);
    }

    fn bytes(&self, range: Range) -> &[u8] {
        slice(&self.arena, range)
    }

    fn is_named(&self, field: &Field, name: &[u8]) -> bool {
        field.name.len as usize == name.len() && self.bytes(field.name).eq_ignore_ascii_case(name)
    }

    fn flush_run(&self, run: &mut Option<(usize, usize)>, out: &mut Vec<u8>) {
        if let Some((from, to)) = run.take() {
            out.extend_from_slice(&self.arena[from..to]);
        }
    }

    fn fill_from_reply(&mut self, reply: &Reply) -> Result<(), InvalidText> {
        let version = match reply.form {
            Form::File { version, .. } => version,
            Form::Made | Form::Silent => Version::Http11,
        };
        self.set_response(reply.status, reply.reason.as_deref(), version)?;
        reply.headers.iter().try_for_each(|(name, value)| self.add_header(name, value))
    }

    fn edit_lines(
        &mut self,
        name: &[u8],
        mut edit: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<usize, InvalidText> {
        let mut edits: smallvec::SmallVec<[(usize, Vec<u8>); 2]> = smallvec::SmallVec::new();
        for (index, field) in self.fields.iter().enumerate().filter(|(_, f)| self.is_named(f, name)) {
            let Some(new) = edit(self.bytes(field.value)) else { continue };
            if !text::is_value(&new) {
                return Err(InvalidText);
            }
            edits.push((index, new));
        }
        self.note_edit(name);
        self.reserve(edits.iter().map(|(_, new)| new.len() + name.len() + 4).sum())?;
        for (index, new) in &edits {
            let old = self.fields[*index];
            let kept_name = self.bytes(old.name).to_vec();
            let field = self.append_line(&kept_name, new)?;
            self.live = self.live - old.wire_len() + field.wire_len();
            self.fields[*index] = field;
        }
        Ok(edits.len())
    }

    fn append_line(&mut self, name: &[u8], value: &[u8]) -> Result<Field, InvalidText> {
        self.reserve(name.len() + value.len() + 4)?;
        let name = self.append_reserved(name);
        self.arena.extend_from_slice(b": ");
        let value = self.append_reserved(value);
        self.arena.extend_from_slice(b"\r\n");
        Ok(Field { name, value, canonical: true })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<Range, InvalidText> {
        self.reserve(bytes.len())?;
        Ok(self.append_reserved(bytes))
    }

    fn append_reserved(&mut self, bytes: &[u8]) -> Range {
        let range = range_of(self.arena.len(), bytes.len());
        self.arena.extend_from_slice(bytes);
        range
    }

    /// Makes sure that `more` bytes may be appended: bounded, and without the remains of earlier
    /// changes piling up.
    fn reserve(&mut self, more: usize) -> Result<(), InvalidText> {
        if self.live.saturating_add(more) > HEAD_MAX {
            return Err(InvalidText);
        }
        if self.arena.len() + more > COMPACT_ABOVE && self.arena.len() > 2 * self.live {
            self.compact();
        }
        Ok(())
    }

    /// Copies the live parts into a new arena.
    fn compact(&mut self) {
        let old = std::mem::replace(&mut self.arena, Vec::with_capacity(self.live + COMPACT_ABOVE / 4));
        match &mut self.start {
            Start::Empty => {}
            Start::Request { method, uri } => {
                *method = copy_range(&mut self.arena, &old, *method);
                *uri = copy_range(&mut self.arena, &old, *uri);
            }
            Start::Response { reason, .. } => *reason = copy_range(&mut self.arena, &old, *reason),
        }
        for field in &mut self.fields {
            field.name = copy_range(&mut self.arena, &old, field.name);
            self.arena.extend_from_slice(b": ");
            field.value = copy_range(&mut self.arena, &old, field.value);
            self.arena.extend_from_slice(b"\r\n");
            field.canonical = true;
        }
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

/// Whether lines of that name say where the body ends.
fn is_framing(name: &[u8]) -> bool {
    match name.len() {
        14 => name.eq_ignore_ascii_case(b"content-length"),
        17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
        _ => false,
    }
}

fn lossy_line(name: &[u8], value: &[u8]) -> String {
    format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
}

fn slice(arena: &[u8], range: Range) -> &[u8] {
    &arena[range.at as usize..range.end()]
}

fn copy_range(to: &mut Vec<u8>, from: &[u8], range: Range) -> Range {
    let copied = range_of(to.len(), range.len as usize);
    to.extend_from_slice(slice(from, range));
    copied
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

/// Arena size above which remains of earlier changes are cleared away, in bytes.
const COMPACT_ABOVE: usize = 64 * 1024;
