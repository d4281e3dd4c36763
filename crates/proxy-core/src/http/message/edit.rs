//! Changes to a head: every text is checked, then appended to the arena; ranges move.

use memchr::memchr;

use super::{Field, HEAD_MAX, InvalidText, Message, Range, Start, Version, path_bounds, range_of, slice};
use crate::{
    applet::{Form, Reply},
    http::{status, text},
};

impl Message {
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

    fn note_edit(&mut self, name: &[u8]) {
        self.framing_edited |= is_framing(name);
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

/// Whether lines of that name say where the body ends.
fn is_framing(name: &[u8]) -> bool {
    match name.len() {
        14 => name.eq_ignore_ascii_case(b"content-length"),
        17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
        _ => false,
    }
}

fn copy_range(to: &mut Vec<u8>, from: &[u8], range: Range) -> Range {
    let copied = range_of(to.len(), range.len as usize);
    to.extend_from_slice(slice(from, range));
    copied
}

/// Arena size above which remains of earlier changes are cleared away, in bytes.
const COMPACT_ABOVE: usize = 64 * 1024;
