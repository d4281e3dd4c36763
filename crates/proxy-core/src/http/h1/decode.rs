//! Bodies: finding the payload in what came in.
//!
//! A [`Decoder`] looks at the unread input and says how many bytes of framing to skip and how many
//! of payload follow. It copies nothing but trailers.

use super::parse::Length;

/// A body being read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    state: State,
}

/// What comes next in the input: `skip` bytes of framing, then `data` bytes of payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes to drop.
    pub skip: usize,
    /// Payload bytes behind them.
    pub data: usize,
}

/// The body breaks its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed chunk")]
pub struct BadChunk;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The body is over.
    #[default]
    Done,
    /// This many bytes are to come.
    Known(u64),
    /// Everything until the connection ends.
    UntilClose,
    /// In a chunk-size line: the digits so far and the bytes of the line.
    Size { size: u64, digits: u8, part: SizePart, len: u16 },
    /// In a chunk.
    Chunk(u64),
    /// In the line end behind a chunk; whether its CR was there.
    ChunkEnd { cr: bool },
    /// In the trailers, behind the last chunk.
    Trailers,
}

/// Where in a chunk-size line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SizePart {
    #[default]
    Digits,
    /// Blanks that may only be followed by an extension.
    Blank,
    Extension,
    Lf,
}

impl Decoder {
    /// The decoder of a body that ends so.
    #[must_use]
    pub fn new(length: Length) -> Self {
        let state = match length {
            Length::None | Length::Known(0) => State::Done,
            Length::Known(n) => State::Known(n),
            Length::Chunked => State::SIZE,
            Length::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Whether the body is over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the connection ends the body.
    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Looks at the unread input. The caller uses up `skip + data` bytes before the next call and
    /// calls again until both are 0: then more input is needed, or the body [is done](Self::is_done).
    ///
    /// Trailers go to `trailers`, as lines with their ends, once they are whole.
    ///
    /// # Errors
    /// The framing is broken; nothing more can be read from this connection.
    pub fn step(&mut self, input: &[u8], trailers: &mut Vec<u8>) -> Result<Step, BadChunk> {
        let mut skip = 0;
        loop {
            let rest = &input[skip..];
            match &mut self.state {
                State::Done => return Ok(Step { skip, data: 0 }),
                State::UntilClose => return Ok(Step { skip, data: rest.len() }),
                State::Known(left) | State::Chunk(left) => {
                    let data = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= data as u64;
                    if *left == 0 {
                        self.state = match self.state {
                            State::Chunk(_) => State::ChunkEnd { cr: false },
                            _ => State::Done,
                        };
                    }
                    return Ok(Step { skip, data });
                }
                State::Trailers => {
                    let Some(len) = trailer_block(rest, trailers)? else { return Ok(Step { skip, data: 0 }) };
                    skip += len;
                    self.state = State::Done;
                }
                State::Size { .. } | State::ChunkEnd { .. } => {
                    let Some(byte) = rest.first() else { return Ok(Step { skip, data: 0 }) };
                    self.state = self.state.line_byte(*byte)?;
                    skip += 1;
                }
            }
        }
    }
}

impl State {
    const SIZE: Self = Self::Size { size: 0, digits: 0, part: SizePart::Digits, len: 0 };

    /// One byte of a size line or of the line end behind a chunk.
    fn line_byte(self, byte: u8) -> Result<Self, BadChunk> {
        match (self, byte) {
            (Self::ChunkEnd { cr: false }, b'\r') => Ok(Self::ChunkEnd { cr: true }),
            (Self::ChunkEnd { cr: true }, b'\n') => Ok(Self::SIZE),
            (Self::Size { size, digits, part, len }, _) if len < SIZE_LINE_MAX => {
                let len = len + 1;
                let (size, digits, part) = match (part, byte) {
                    (SizePart::Lf, b'\n') if size == 0 => return Ok(Self::Trailers),
                    (SizePart::Lf, b'\n') => return Ok(Self::Chunk(size)),
                    (SizePart::Digits, _) if byte.is_ascii_hexdigit() && digits < DIGITS_MAX => {
                        (size << 4 | u64::from(hex(byte)), digits + 1, part)
                    }
                    (_, _) if digits == 0 => return Err(BadChunk),
                    (SizePart::Digits | SizePart::Extension, b'\r') => (size, digits, SizePart::Lf),
                    (SizePart::Digits | SizePart::Blank, b';') => (size, digits, SizePart::Extension),
                    (SizePart::Digits | SizePart::Blank, b' ' | b'\t') => (size, digits, SizePart::Blank),
                    (SizePart::Extension, b'\t' | b' '..=b'~' | 0x80..) => (size, digits, part),
                    _ => return Err(BadChunk),
                };
                Ok(Self::Size { size, digits, part, len })
            }
            _ => Err(BadChunk),
        }
    }
}

fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}

/// The bytes of a whole trailer block, whose lines are appended to `out`; `None` while not whole.
/// Fields that would change the framing are left out.
fn trailer_block(input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, BadChunk> {
    if input.starts_with(b"\r\n") {
        return Ok(Some(2));
    }
    let mut headers = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    match httparse::parse_headers(input, &mut headers) {
        Ok(httparse::Status::Partial) if input.len() < TRAILER_BYTES_MAX => Ok(None),
        Ok(httparse::Status::Complete((len, lines))) if len <= TRAILER_BYTES_MAX => {
            for line in lines.iter().filter(|line| !is_framing(line.name)) {
                out.extend_from_slice(line.name.as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(line.value);
                out.extend_from_slice(b"\r\n");
            }
            Ok(Some(len))
        }
        _ => Err(BadChunk),
    }
}

fn is_framing(name: &str) -> bool {
    ["content-length", "transfer-encoding", "connection", "host", "trailer"]
        .iter()
        .any(|field| name.eq_ignore_ascii_case(field))
}

/// Hexadecimal digits of a chunk size: below 2^60, so that no sum overflows.
const DIGITS_MAX: u8 = 15;
/// Longest chunk-size line with its extensions, in bytes.
const SIZE_LINE_MAX: u16 = 1024;
/// Most trailer lines.
const TRAILERS_MAX: usize = 32;
/// Most bytes of trailers.
const TRAILER_BYTES_MAX: usize = 8192;
