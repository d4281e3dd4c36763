//! Heads: bytes to [`Message`].
//!
//! httparse finds the parts; what it lets pass and two readers could read differently is refused
//! here. A message is refused rather than repaired.

use httparse::{Header, ParserConfig, Status};
use std::mem::MaybeUninit;

use super::super::{
    message::{Message, Range, Version, range_of},
    text,
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
/// Empty lines before it are skipped. `message` is filled when the head is whole; its contents
/// after an error mean nothing.
///
/// # Errors
/// The client is to blame: answer 400 (413 for [`Refused::Payload`]) and close.
pub fn request(bytes: &[u8], limits: &Limits, message: &mut Message) -> Result<Option<Head>, Refused> {
    let skipped = empty_lines(bytes);
    let bytes = &bytes[skipped..];
    with_headers(limits.headers_max, |headers| {
        let mut parsed = httparse::Request::new(&mut []);
        let len = match ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, bytes, headers)
        {
            Ok(Status::Complete(len)) if len <= limits.head_max => len,
            Ok(Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => return Err(Refused::TooLarge),
            Ok(Status::Partial) => return partial(bytes, limits),
            Err(_) => return Err(Refused::Malformed),
        };
        let whole = "a complete head has every part";
        let (method, target) = (parsed.method.expect(whole), parsed.path.expect(whole));
        let version = version(parsed.version.expect(whole));
        let base = bytes.as_ptr() as usize;
        message.load(&bytes[..len]);
        message.index_request(part(base, method.as_bytes()), part(base, target.as_bytes()), version);
        let mut scan = Scan { host: None, ..Scan::default() };
        for header in parsed.headers.iter() {
            if scan.take(header)? {
                message.index_header(part(base, header.name.as_bytes()), part(base, header.value));
            }
        }
        check_target(method, target.as_bytes(), scan.host)?;
        let mut head = scan.finish(version)?;
        if head.length == Length::UntilClose {
            head.length = Length::None;
        }
        let bodiless = matches!(method, "GET" | "HEAD" | "DELETE");
        if version == Version::Http10 && bodiless && !matches!(head.length, Length::None | Length::Known(0)) {
            return Err(Refused::Payload);
        }
        head.len = len + skipped;
        Ok(Some(head))
    })
}

/// Parses a response head; `None` while it is not whole.
///
/// # Errors
/// The server is to blame: answer 502.
pub fn response(bytes: &[u8], limits: &Limits, message: &mut Message) -> Result<Option<Head>, Refused> {
    with_headers(limits.headers_max, |headers| {
        let mut parsed = httparse::Response::new(&mut []);
        let len =
            match ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, headers) {
                Ok(Status::Complete(len)) if len <= limits.head_max => len,
                Ok(Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => {
                    return Err(Refused::TooLarge);
                }
                Ok(Status::Partial) => return partial(bytes, limits),
                Err(_) => return Err(Refused::Malformed),
            };
        let whole = "a complete head has every part";
        let (code, version) = (parsed.code.expect(whole), version(parsed.version.expect(whole)));
        if code < 100 {
            return Err(Refused::Malformed);
        }
        let base = bytes.as_ptr() as usize;
        message.load(&bytes[..len]);
        let reason = parsed.reason.filter(|text| !text.is_empty());
        message.index_response(
            code,
            reason.map_or_else(Range::default, |r| part(base, r.as_bytes())),
            version,
        );
        let mut scan = Scan::default();
        for header in parsed.headers.iter() {
            if scan.take(header)? {
                message.index_header(part(base, header.name.as_bytes()), part(base, header.value));
            }
        }
        let mut head = scan.finish(version)?;
        head.len = len;
        Ok(Some(head))
    })
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
    /// Takes one line; whether it belongs into the message.
    fn take(&mut self, header: &Header<'a>) -> Result<bool, Refused> {
        let name = header.name.as_bytes();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => return self.take_host(header.value),
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.head.expect_continue |= header.value.eq_ignore_ascii_case(b"100-continue");
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade_line = true,
            10 if name.eq_ignore_ascii_case(b"connection") => self.take_connection(header.value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.take_length(header.value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
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
fn check_target(method: &str, target: &[u8], host: Option<&[u8]>) -> Result<(), Refused> {
    if !target.is_ascii() || memchr::memchr(b'#', target).is_some() {
        return Err(Refused::Malformed);
    }
    if method == "CONNECT" {
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

fn partial(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, Refused> {
    if bytes.len() >= limits.head_max { Err(Refused::TooLarge) } else { Ok(None) }
}

fn version(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

/// The range of a slice of the input that begins at address `base`.
fn part(base: usize, bytes: &[u8]) -> Range {
    range_of(bytes.as_ptr() as usize - base, bytes.len())
}

/// Room for header lines on the stack; the usual limit gets the smaller one.
fn with_headers<'b, T>(max: usize, run: impl FnOnce(&mut [MaybeUninit<Header<'b>>]) -> T) -> T {
    if max <= USUAL_MAX {
        run(&mut [const { MaybeUninit::uninit() }; USUAL_MAX][..max])
    } else {
        run(&mut [const { MaybeUninit::uninit() }; HEADERS_MAX][..max.min(HEADERS_MAX)])
    }
}

/// HAProxy's default for `tune.http.maxhdr`.
const USUAL_MAX: usize = 101;
/// Largest `content-length` taken: sums of lengths stay far from overflow.
const LENGTH_MAX: u64 = 1 << 62;
