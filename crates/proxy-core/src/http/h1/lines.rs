//! The lines of a head, byte by byte and once: start line, header lines, the empty line.
//!
//! What may be read in two ways is refused: a CR without LF, a folded line, a blank before a colon, a
//! second blank in a start line. A line may end in LF alone, as RFC 9112 §2.2 lets a reader take it.
//!
//! Source: RFC 9112 §2.2, §3, §4, §5.

use super::{
    super::{
        message::{Range, Version, range_of},
        text,
    },
    parse::Refused,
};

/// Why a head could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is not whole; so far nothing is wrong with it.
    Partial,
    Refused(Refused),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// A head being read, line by line. Ranges are those of the bytes given.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// `GET / HTTP/1.1`
pub(super) struct RequestLine {
    pub(super) method: Range,
    pub(super) target: Range,
    pub(super) version: Version,
}

/// `HTTP/1.1 200 OK`
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) code: u16,
    pub(super) reason: Range,
}

/// `name: value`
pub(super) struct HeaderLine {
    pub(super) name: Range,
    /// Without blanks around it.
    pub(super) value: Range,
    /// It stands there exactly as it would be written: one space behind the colon, CR LF behind the value.
    pub(super) canonical: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read.
    pub(super) fn read(&self) -> usize {
        self.at
    }

    pub(super) fn bytes(&self, range: Range) -> &'a [u8] {
        &self.bytes[range.at as usize..][..range.len as usize]
    }

    pub(super) fn request_line(&mut self) -> Result<RequestLine, Stop> {
        let method = self.token()?;
        self.byte(b' ')?;
        let target = self.until(text_end::<{ b' ' + 1 }>);
        if target.len == 0 {
            return Err(self.stopped());
        }
        self.byte(b' ')?;
        let version = self.version()?;
        self.line_end()?;
        Ok(RequestLine { method, target, version })
    }

    pub(super) fn status_line(&mut self) -> Result<StatusLine, Stop> {
        let version = self.version()?;
        self.byte(b' ')?;
        let mut code = 0;
        for _ in 0..3 {
            let digit = self.peek().filter(u8::is_ascii_digit).ok_or_else(|| self.stopped())?;
            code = code * 10 + u16::from(digit - b'0');
            self.at += 1;
        }
        // Some servers leave out the blank together with the phrase.
        if self.peek() == Some(b' ') {
            self.at += 1;
        }
        let reason = self.until(text_end::<b' '>);
        if reason.len > 0 && self.bytes[reason.at as usize - 1] != b' ' {
            return Err(Refused::Malformed.into());
        }
        self.line_end()?;
        Ok(StatusLine { version, code, reason })
    }

    /// The next header line; `None` once the empty line was read.
    pub(super) fn header(&mut self) -> Result<Option<HeaderLine>, Stop> {
        if matches!(self.peek(), Some(b'\r' | b'\n')) {
            return self.line_end().map(|_| None);
        }
        let name = self.token()?;
        self.byte(b':')?;
        let blanks = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let one_space = self.at == blanks + 1 && self.bytes[blanks] == b' ';
        let text = self.until(text_end::<b' '>);
        let crlf = self.line_end()?;
        let value = range_of(text.at as usize, trimmed(self.bytes(text)));
        Ok(Some(HeaderLine { name, value, canonical: one_space && crlf && value == text }))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Why there is nothing that fits where we are.
    fn stopped(&self) -> Stop {
        if self.at == self.bytes.len() { Stop::Partial } else { Refused::Malformed.into() }
    }

    fn byte(&mut self, byte: u8) -> Result<(), Stop> {
        if self.peek() != Some(byte) {
            return Err(self.stopped());
        }
        self.at += 1;
        Ok(())
    }

    /// At least one byte, none but those of a token.
    fn token(&mut self) -> Result<Range, Stop> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|b| !text::is_token_byte(*b)).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.stopped());
        }
        let range = range_of(self.at, len);
        self.at += len;
        Ok(range)
    }

    /// What stands before the end that `end` finds.
    #[inline]
    fn until(&mut self, end: impl FnOnce(&[u8]) -> usize) -> Range {
        let range = range_of(self.at, end(&self.bytes[self.at..]));
        self.at += range.len as usize;
        range
    }

    fn version(&mut self) -> Result<Version, Stop> {
        if self.bytes[self.at..].starts_with(PROTOCOL) {
            self.at += PROTOCOL.len();
        } else {
            PROTOCOL.iter().try_for_each(|byte| self.byte(*byte))?;
        }
        let version = match self.peek() {
            Some(b'0') => Version::Http10,
            Some(b'1') => Version::Http11,
            _ => return Err(self.stopped()),
        };
        self.at += 1;
        Ok(version)
    }

    /// CR LF or LF; whether it was both.
    fn line_end(&mut self) -> Result<bool, Stop> {
        let cr = self.peek() == Some(b'\r');
        self.at += usize::from(cr);
        self.byte(b'\n')?;
        Ok(cr)
    }
}

/// Bytes before the first that is below `LEAST`, tab excepted where blanks may stand, or DEL.
///
/// Eight bytes a step. Of the bits that mark bytes the lowest is always right: a borrow goes upwards only.
fn text_end<const LEAST: u8>(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let is_text = |byte: u8| (byte >= LEAST && byte != 0x7f) || (byte == b'\t' && LEAST == b' ');
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let del = word ^ (ONES * 0x7f);
        let below = word.wrapping_sub(ONES * u64::from(LEAST)) & !word;
        let marked = (below | (del.wrapping_sub(ONES) & !del)) & HIGH;
        if marked == 0 {
            at += 8;
            continue;
        }
        at += marked.trailing_zeros() as usize / 8;
        if !is_text(bytes[at]) {
            return at;
        }
        at += 1;
    }
    at + bytes[at..].iter().position(|byte| !is_text(*byte)).unwrap_or(bytes.len() - at)
}

/// How long it is without the blanks at its end.
fn trimmed(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |last| last + 1)
}

/// What versions that we read begin with.
const PROTOCOL: &[u8] = b"HTTP/1.";
