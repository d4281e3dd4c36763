//! Just enough HTTP/1 to talk to a proxy from both sides. Strict where a test should notice.

use std::io::{self, ErrorKind, Read};

/// A message as received. Bytes are kept one to one as `char`s below U+0100.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// The request or status line, without its line end.
    pub(crate) start: String,
    /// Names and values in order, names in their own case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body without its framing.
    pub(crate) body: String,
    /// The head as it came, line ends included.
    pub(crate) head: String,
}

impl Message {
    /// The first value of a header, its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The status of a response; 0 if there is none.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    fn chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }

    /// Whether the connection ends after this message.
    pub(crate) fn closes(&self) -> bool {
        let said = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        let version_1_0 = self.start.starts_with("HTTP/1.0") || self.start.ends_with("HTTP/1.0");
        said.contains("close") || (version_1_0 && !said.contains("keep-alive"))
    }
}

/// Reads messages from a stream, keeping what belongs to the next one.
pub(crate) struct Reader<R> {
    /// The stream itself.
    pub(crate) stream: R,
    ahead: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// A reader with nothing read yet.
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// Reads up to the empty line. `Ok(None)` if the stream ends before the first byte.
    pub(crate) fn head(&mut self) -> io::Result<Option<Message>> {
        let end = loop {
            if let Some(at) = find(&self.ahead, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more()? {
                let nothing = self.ahead.is_empty();
                return if nothing { Ok(None) } else { Err(cut("a head", &self.ahead)) };
            }
        };
        let head = latin1(&self.take(end));
        let mut lines = head.trim_end().split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim().to_owned())
        });
        let headers = headers.collect();
        Ok(Some(Message { start, headers, body: String::new(), head }))
    }

    /// Reads the body of a request whose head is `message`.
    pub(crate) fn request_body(&mut self, message: &mut Message) -> io::Result<()> {
        message.body = if message.chunked() {
            self.chunks()?
        } else {
            latin1(&self.exactly(message.length().unwrap_or(0))?)
        };
        Ok(())
    }

    /// Reads the body of a response to `method` whose head is `message`. True if only the end of the
    /// connection ended it.
    pub(crate) fn response_body(&mut self, message: &mut Message, method: &str) -> io::Result<bool> {
        let status = message.status();
        let tunnel = status == 101 || (method == "CONNECT" && status == 200);
        if method == "HEAD" || tunnel || status < 200 || status == 204 || status == 304 {
            return Ok(false);
        }
        if message.chunked() {
            message.body = self.chunks()?;
            return Ok(false);
        }
        if let Some(length) = message.length() {
            message.body = latin1(&self.exactly(length)?);
            return Ok(false);
        }
        while self.more()? {}
        message.body = latin1(&std::mem::take(&mut self.ahead));
        Ok(true)
    }

    /// Reads exactly `length` bytes.
    pub(crate) fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if !self.more()? {
                return Err(cut(&format!("{length} bytes"), &self.ahead));
            }
        }
        Ok(self.take(length))
    }

    /// What was read and not used yet.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Takes what was read and not used yet, and gives the stream back.
    pub(crate) fn into_parts(self) -> (R, Vec<u8>) {
        (self.stream, self.ahead)
    }

    fn chunks(&mut self) -> io::Result<String> {
        let mut body = String::new();
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16)
                .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("chunk size {line:?}")))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            body += &latin1(&self.exactly(size)?);
            if !self.line()?.is_empty() {
                return Err(io::Error::new(ErrorKind::InvalidData, "no line end after a chunk"));
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.ahead, b"\r\n") {
                let line = latin1(&self.take(at + 2));
                return Ok(line.trim_end_matches("\r\n").to_owned());
            }
            if !self.more()? {
                return Err(cut("a line", &self.ahead));
            }
        }
    }

    fn more(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16384];
        let n = self.stream.read(&mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..n]);
        Ok(n > 0)
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        let rest = self.ahead.split_off(n);
        std::mem::replace(&mut self.ahead, rest)
    }
}

/// Bytes as text, one to one.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bytes of such a text.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).expect("texts of tests hold bytes only")).collect()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn cut(wanted: &str, instead: &[u8]) -> io::Error {
    io::Error::new(
        ErrorKind::UnexpectedEof,
        format!("end of stream instead of {wanted}, after {:?}", latin1(instead)),
    )
}
