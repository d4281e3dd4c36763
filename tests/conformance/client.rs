//! A scenario's client: one connection, requests out, responses in, and what was expected of them.

use std::io::{ErrorKind, Read, Write};

use regex::bytes::Regex;

use crate::support::http::{Message, Reader, bytes, latin1};
use crate::support::wire::Wire;

/// One connection and the methods whose responses are still to come.
pub(crate) struct Client {
    reader: Reader<Wire>,
    methods: Vec<String>,
}

impl Client {
    /// A client on a fresh connection.
    pub(crate) fn new(wire: Wire) -> Self {
        Self { reader: Reader::new(wire), methods: Vec::new() }
    }

    /// Sends these bytes.
    pub(crate) fn send(&mut self, text: &str) -> Result<(), String> {
        self.reader.stream.write_all(&bytes(text)).map_err(|error| format!("sending: {error}"))
    }

    /// Holds the marks of the proxy's packets to this client against what was expected.
    pub(crate) fn marked(&self, kind: &str, wanted: &str) -> Result<(), String> {
        let marks =
            self.reader.stream.marks_of_peer().map_err(|error| format!("asking the kernel: {error}"))?;
        match (kind, marks.tos, marks.mark) {
            ("tos", Some(tos), _) => equal("TOS", &tos.to_string(), wanted),
            // The mark is told, and set, with privileges only.
            ("mark", _, Some(mark)) => equal("mark", &mark.to_string(), wanted),
            ("mark", _, None) => Ok(()),
            _ => Err(format!("nothing is known of {kind:?}")),
        }
    }

    /// Says which request the next unanswered response belongs to (a response to HEAD has no body).
    pub(crate) fn asked(&mut self, method: &str) {
        self.methods.push(method.to_owned());
    }

    /// Reads the next final response; interim ones (1xx) are returned as they come.
    pub(crate) fn response(&mut self) -> Result<Message, String> {
        let method = self.methods.first().cloned().unwrap_or_default();
        let head = self.reader.head().map_err(|error| format!("reading a response: {error}"))?;
        let mut response = head.ok_or("the connection ended instead of a response")?;
        if response.status() >= 200 && !self.methods.is_empty() {
            self.methods.remove(0);
        }
        let read = self.reader.response_body(&mut response, &method);
        read.map_err(|error| format!("reading the body of {:?}: {error}", response.head))?;
        Ok(response)
    }

    /// Reads exactly these bytes.
    pub(crate) fn expect_bytes(&mut self, wanted: &str) -> Result<(), String> {
        let wanted = bytes(wanted);
        let got = self.reader.exactly(wanted.len()).map_err(|error| error.to_string())?;
        equal("bytes", &latin1(&got), &latin1(&wanted))
    }

    /// Reads until what came matches `pattern`, and uses it all up.
    pub(crate) fn expect_match(&mut self, pattern: &str) -> Result<(), String> {
        let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
        let mut got = self.reader.exactly(self.reader.ahead().len()).unwrap_or_default();
        let mut buffer = [0; 4096];
        while !regex.is_match(&got) {
            match self.reader.stream.read(&mut buffer) {
                Ok(n) if n > 0 => got.extend(&buffer[..n]),
                ended => return Err(format!("{ended:?}; nothing matched {pattern:?} in {:?}", latin1(&got))),
            }
        }
        Ok(())
    }

    /// Waits for the end of the stream. Bytes before it, or (unless `reset` is fine) a reset, are wrong.
    pub(crate) fn expect_end(&mut self, reset: bool) -> Result<(), String> {
        let mut buffer = [0; 4096];
        if !self.reader.ahead().is_empty() {
            return Err(format!("bytes instead of the end: {:?}", latin1(self.reader.ahead())));
        }
        match self.reader.stream.read(&mut buffer) {
            Ok(0) => Ok(()),
            Ok(n) => Err(format!("bytes instead of the end: {:?}", latin1(&buffer[..n]))),
            // Over TLS a peer may say why it goes.
            Err(error)
                if reset && matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::InvalidData) =>
            {
                Ok(())
            }
            Err(error) => Err(format!("waiting for the end: {error}")),
        }
    }

    /// Fails if an answer, or the end, is already there.
    pub(crate) fn expect_nothing_yet(&mut self) -> Result<(), String> {
        let mut buffer = [0; 4096];
        match self.reader.stream.read_now(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Ok(n) => Err(format!("should still be waiting, but got {:?}", latin1(&buffer[..n]))),
            Err(error) => Err(format!("should still be waiting, but: {error}")),
        }
    }

    /// Ends our direction.
    pub(crate) fn finish(&self) -> Result<(), String> {
        self.reader.stream.finish().map_err(|error| error.to_string())
    }

    /// Reads all that comes until the stream ends.
    pub(crate) fn rest(&mut self) -> Result<String, String> {
        let mut rest = self.reader.ahead().to_vec();
        self.reader.stream.read_to_end(&mut rest).map_err(|error| error.to_string())?;
        Ok(latin1(&rest))
    }
}

/// Holds a response against the indented lines of `expect`.
///
/// | line | means |
/// |---|---|
/// | `header NAME VALUE` | the first header of that name has this value |
/// | `header NAME has TEXT`, `header NAME matches REGEX` | likewise |
/// | `headers NAME N` | there are N headers of that name |
/// | `no header NAME` | there is none |
/// | `reason TEXT` | the status line ends so |
/// | `body TEXT`, `body has …`, `body lacks …`, `body matches …`, `body length N` | of the body |
/// | `head has …` | of the raw head, names in their own case |
/// | `closes`, `keeps` | the response ends the connection, or not |
pub(crate) fn hold(response: &Message, conditions: &[Vec<String>]) -> Result<(), String> {
    for condition in conditions {
        let words: Vec<&str> = condition.iter().map(String::as_str).collect();
        let header = |name: &str| {
            response.header(name).ok_or_else(|| format!("no header {name} in {:?}", response.head))
        };
        match words[..] {
            ["header", name, ref value @ ..] => text(name, header(name)?, value)?,
            ["headers", name, count] => {
                let found =
                    response.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count();
                equal(name, &found.to_string(), count)?;
            }
            ["no", "header", name] if response.header(name).is_none() => {}
            ["no", "header", name] => return Err(format!("header {name} is there: {:?}", response.head)),
            ["reason", reason] => {
                equal("reason", response.start.splitn(3, ' ').nth(2).unwrap_or(""), reason)?
            }
            ["body", ref value @ ..] => text("body", &response.body, value)?,
            ["head", ref value @ ..] => text("head", &response.head, value)?,
            ["closes"] if response.closes() => {}
            ["keeps"] if !response.closes() => {}
            ["closes" | "keeps"] => return Err(format!("the other holds, by {:?}", response.head)),
            _ => return Err(format!("{condition:?} is no condition on a response")),
        }
    }
    Ok(())
}

/// Holds a text against `VALUE`, `has VALUE`, `ihas VALUE` (in any case), `lacks VALUE`, `matches REGEX` or `length N`.
pub(crate) fn text(what: &str, got: &str, condition: &[&str]) -> Result<(), String> {
    match *condition {
        ["has", wanted] if got.contains(wanted) => Ok(()),
        ["has", wanted] => Err(format!("{what} has no {wanted:?}: {got:?}")),
        ["ihas", wanted] if got.to_lowercase().contains(&wanted.to_lowercase()) => Ok(()),
        ["ihas", wanted] => Err(format!("{what} has no {wanted:?} in any case: {got:?}")),
        ["lacks", wanted] if got.contains(wanted) => Err(format!("{what} has {wanted:?}: {got:?}")),
        ["lacks", _] => Ok(()),
        ["matches", pattern] => {
            let regex = regex::Regex::new(pattern).map_err(|error| error.to_string())?;
            if regex.is_match(got) {
                Ok(())
            } else {
                Err(format!("{what} does not match {pattern:?}: {got:?}"))
            }
        }
        ["length", wanted] => equal(&format!("length of {what}"), &got.len().to_string(), wanted),
        [wanted] => equal(what, got, wanted),
        _ => Err(format!("{condition:?} is no condition on a text")),
    }
}

/// Equality, with both sides in the error.
pub(crate) fn equal(what: &str, got: &str, wanted: &str) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what} is {got:?}, not {wanted:?}")) }
}
