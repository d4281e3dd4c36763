//! Heads: bytes to [`Message`].
//!
//! `lines::Lines` finds the parts; what they say about framing and connection is gathered on the way, and
//! what two readers could read differently is refused. A message is refused rather than repaired.

use super::{
    super::{
        message::{Message, Version},
        text,
    },
    lines::{Lines, Stop},
};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// There is none.
    #[default]
    None,
    /// `content-length`.
    Known(u64),
    /// `transfer-encoding: chunked`.
    Chunked,
    /// It ends with the connection (responses only).
    UntilClose,
}

/// What a head says about its message's framing and its connection, found in the same pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Bytes of input that the head took, empty lines before it included.
    pub len: usize,
    /// How its body ends. For a response this is what the head alone says: see
    /// [`connection::response_length`](super::connection::response_length).
    pub length: Length,
    /// Whether a `content-length` line is there.
    pub has_length: bool,
    /// `connection: close`.
    pub close: bool,
    /// `connection: keep-alive`.
    pub keep_alive: bool,
    /// `connection: upgrade` beside an `upgrade` line.
    pub upgrade: bool,
    /// A `connection` line is there.
    pub has_connection: bool,
    /// `expect: 100-continue`.
    pub expect_continue: bool,
}

/// What a head may measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the head.
    pub head_max: usize,
    /// Header lines, at most [`HEADERS_MAX`].
    pub headers_max: usize,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not HTTP/1, or ambiguous.
    #[error("malformed head")]
    Malformed,
    /// Over a limit.
    #[error("head too large")]
    TooLarge,
    /// A body where HTTP/1.0 readers do not expect one.
    #[error("payload with a method that has none in http/1.0")]
    Payload,
    /// More than one way to tell where the body ends, or none.
    #[error("ambiguous message length")]
    Framing,
}

/// Most header lines that any configuration accepts.
pub const HEADERS_MAX: usize = 256;

/// Parses a request head; `None` while it is not whole.
///
/// Empty lines before it are skipped. `message` is filled when the head is whole, and empty else.
///
/// # Errors
/// The client is to blame: answer 400 (413 for [`Refused::Payload`]) and close.
pub fn request(bytes: &[u8], limits: &Limits, message: &mut Message) -> Result<Option<Head>, Refused> {
    let skipped = empty_lines(bytes);
    let bytes = &bytes[skipped..];
    let parsed = request_head(bytes, limits, message);
    let head = settle(parsed, bytes, limits, message)?;
    Ok(head.map(|head| Head { len: head.len + skipped, ..head }))
}

/// Parses a response head; `None` while it is not whole.
///
/// # Errors
/// The server is to blame: answer 502.
pub fn response(bytes: &[u8], limits: &Limits, message: &mut Message) -> Result<Option<Head>, Refused> {
    let parsed = response_head(bytes, limits, message);
    settle(parsed, bytes, limits, message)
}

fn request_head(bytes: &[u8], limits: &Limits, message: &mut Message) -> Result<Head, Stop> {
    let mut lines = Lines::new(bytes);
    let mut scan = Scan::default();
    let start = lines.request_line()?;
    message.index_request(start.method, start.target, start.version);
    scan.headers(&mut lines, limits, message)?;
    let method = lines.bytes(start.method);
    check_target(method, lines.bytes(start.target), scan.host)?;
    let mut head = scan.finish(start.version)?;
    if head.length == Length::UntilClose {
        head.length = Length::None;
    }
    let bodiless = matches!(method, b"GET" | b"HEAD" | b"DELETE");
    if start.version == Version::Http10 && bodiless && !matches!(head.length, Length::None | Length::Known(0))
    {
        return Err(Refused::Payload.into());
    }
    head.len = lines.read();
    Ok(head)
}

fn response_head(bytes: &[u8], limits: &Limits, message: &mut Message) -> Result<Head, Stop> {
    let mut lines = Lines::new(bytes);
    let mut scan = Scan::default();
    let start = lines.status_line()?;
    if start.code < 100 {
        return Err(Refused::Malformed.into());
    }
    message.index_response(start.code, start.reason, start.version);
    scan.headers(&mut lines, limits, message)?;
    let mut head = scan.finish(start.version)?;
    head.len = lines.read();
    Ok(head)
}

/// Fills the message whose parts were found with their bytes, or empties it and says what is wrong.
fn settle(
    parsed: Result<Head, Stop>,
    bytes: &[u8],
    limits: &Limits,
    message: &mut Message,
) -> Result<Option<Head>, Refused> {
    let why = match parsed {
        Ok(head) if head.len <= limits.head_max => {
            message.fill(&bytes[..head.len]);
            return Ok(Some(head));
        }
        Err(Stop::Partial) if bytes.len() < limits.head_max => Ok(None),
        Ok(_) | Err(Stop::Partial) => Err(Refused::TooLarge),
        Err(Stop::Refused(refused)) => Err(refused),
    };
    message.clear();
    why
}

/// Bytes of whole empty lines at the front.
#[must_use]
pub fn empty_lines(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match &bytes[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [b'\n', ..] => at += 1,
            _ => return at,
        }
    }
}

/// What the header lines say, gathered line by line.
#[derive(Default)]
struct Scan<'a> {
    head: Head,
    length: Option<u64>,
    chunked: bool,
    upgrade_token: bool,
    upgrade_line: bool,
    host: Option<&'a [u8]>,
}

impl<'a> Scan<'a> {
    /// Takes all lines and indexes those that belong into the message.
    fn headers(&mut self, lines: &mut Lines<'a>, limits: &Limits, message: &mut Message) -> Result<(), Stop> {
        let mut count = 0;
        while let Some(line) = lines.header()? {
            count += 1;
            if count > limits.headers_max {
                return Err(Refused::TooLarge.into());
            }
            if self.take(lines.bytes(line.name), lines.bytes(line.value))? {
                message.index_header(line.name, line.value, line.canonical);
            }
        }
        Ok(())
    }

    /// Takes one line; whether it belongs into the message.
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> Result<bool, Refused> {
        // Few lines get past the length and the first letter.
        match (name.len(), name[0] | 0x20) {
            (4, b'h') if name.eq_ignore_ascii_case(b"host") => return self.take_host(value),
            (6, b'e') if name.eq_ignore_ascii_case(b"expect") => {
                self.head.expect_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
            (7, b'u') if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade_line = true,
            (10, b'c') if name.eq_ignore_ascii_case(b"connection") => self.take_connection(value),
            (14, b'c') if name.eq_ignore_ascii_case(b"content-length") => self.take_length(value)?,
            (17, b't') if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refused::Framing);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(true)
    }

    /// A second `host` line must say the same and goes.
    fn take_host(&mut self, value: &'a [u8]) -> Result<bool, Refused> {
        match self.host {
            Some(first) if first != value => Err(Refused::Malformed),
            Some(_) => Ok(false),
            None => {
                self.host = Some(value);
                Ok(true)
            }
        }
    }

    fn take_connection(&mut self, value: &[u8]) {
        self.head.has_connection = true;
        for token in text::split_values(value) {
            self.head.close |= token.eq_ignore_ascii_case(b"close");
            self.head.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade_token |= token.eq_ignore_ascii_case(b"upgrade");
        }
    }

    fn take_length(&mut self, value: &[u8]) -> Result<(), Refused> {
        if self.length.is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Refused::Framing);
        }
        let digit = |sum: u64, b: &u8| sum.checked_mul(10)?.checked_add(u64::from(b - b'0'));
        let length = value.iter().try_fold(0, digit).filter(|n| *n <= LENGTH_MAX);
        self.length = Some(length.ok_or(Refused::Framing)?);
        Ok(())
    }

    fn finish(self, version: Version) -> Result<Head, Refused> {
        let length = match (self.chunked, self.length) {
            (true, Some(_)) => return Err(Refused::Framing),
            (true, None) if version == Version::Http10 => return Err(Refused::Framing),
            (true, None) => Length::Chunked,
            (false, Some(n)) => Length::Known(n),
            (false, None) => Length::UntilClose,
        };
        let upgrade = self.upgrade_token && self.upgrade_line;
        Ok(Head { length, has_length: self.length.is_some(), upgrade, ..self.head })
    }
}

/// Targets that servers read differently: bytes outside ASCII, fragments, CONNECT without a port,
/// an authority that is not the `host`.
fn check_target(method: &[u8], target: &[u8], host: Option<&[u8]>) -> Result<(), Refused> {
    if !target.is_ascii() || memchr::memchr(b'#', target).is_some() {
        return Err(Refused::Malformed);
    }
    if method == b"CONNECT" {
        let port = target.iter().rposition(|b| *b == b':').map(|colon| &target[colon + 1..]);
        let valid = port.is_some_and(|p| !p.is_empty() && p.iter().all(u8::is_ascii_digit));
        let same = host.is_none_or(|host| same_authority(target, host, b""));
        return if valid && same { Ok(()) } else { Err(Refused::Malformed) };
    }
    if target[0] == b'/' {
        return Ok(());
    }
    match (authority(target), host) {
        (Some((authority, port)), Some(host)) if !same_authority(authority, host, port) => {
            Err(Refused::Malformed)
        }
        _ => Ok(()),
    }
}

/// The authority of an absolute target and its scheme's usual port.
fn authority(target: &[u8]) -> Option<(&[u8], &'static [u8])> {
    let colon = memchr::memchr(b':', target)?;
    let rest = target[colon..].strip_prefix(b"://")?;
    let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let port: &[u8] = if target[..colon].eq_ignore_ascii_case(b"https") { b":443" } else { b":80" };
    let host = memchr::memrchr(b'@', &rest[..end]).map_or(0, |at| at + 1);
    Some((&rest[host..end], port))
}

fn same_authority(a: &[u8], b: &[u8], usual_port: &[u8]) -> bool {
    let bare = |name: &[u8]| name.len() - if name.ends_with(usual_port) { usual_port.len() } else { 0 };
    a[..bare(a)].eq_ignore_ascii_case(&b[..bare(b)]) || a.eq_ignore_ascii_case(b)
}

/// Largest `content-length` taken: sums of lengths stay far from overflow.
const LENGTH_MAX: u64 = 1 << 62;
