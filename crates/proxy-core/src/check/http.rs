//! `option httpchk` and `http-check`: one request, and what its answer must be like.

use std::{ops::RangeInclusive, sync::Arc};

use regex::bytes::Regex;

use super::{Verdict, status::CheckStatus};
use crate::http::{
    Message,
    h1::{connection::response_length, decode::Decoder, parse},
};

/// What is sent, and what is expected.
#[derive(Clone, Debug)]
pub struct HttpCheck {
    /// The method.
    pub method: String,
    /// The request target.
    pub uri: String,
    /// The version (`HTTP/1.0`).
    pub version: String,
    /// Header lines in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// All must hold; a status 2xx or 3xx if there are none.
    pub expects: Vec<HttpExpect>,
    /// `http-check disable-on-404`.
    pub disable_on_404: bool,
}

impl Default for HttpCheck {
    fn default() -> Self {
        Self {
            method: "OPTIONS".to_owned(),
            uri: "/".to_owned(),
            version: "HTTP/1.0".to_owned(),
            headers: Vec::new(),
            body: None,
            expects: Vec::new(),
            disable_on_404: false,
        }
    }
}

/// One `http-check expect`.
#[derive(Clone, Debug)]
pub struct HttpExpect {
    /// `!`: it must not be like that.
    pub negated: bool,
    /// What to look at.
    pub what: HttpMatch,
    /// `comment`.
    pub comment: Option<String>,
}

/// What an `http-check expect` looks at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HttpMatch {
    /// `status`: one of these.
    Status(Vec<RangeInclusive<u16>>),
    /// `rstatus`: matches as text.
    StatusRegex(Regex),
    /// `string`: the body contains this.
    Body(Vec<u8>),
    /// `rstring`: the body matches.
    BodyRegex(Regex),
}

impl HttpCheck {
    /// The request as sent.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let mut out = format!("{} {} {}\r\n", self.method, self.uri, self.version).into_bytes();
        let ours = |name: &str| {
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
        };
        for (name, value) in self.headers.iter().filter(|(name, _)| !ours(name)) {
            out.extend_from_slice(format!("{}: {value}\r\n", name.to_ascii_lowercase()).as_bytes());
        }
        if let Some(body) = &self.body {
            out.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        let has_connection = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection"));
        if self.version != "HTTP/1.0" && !has_connection {
            out.extend_from_slice(b"connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.body.as_deref().unwrap_or_default());
        out
    }
}

/// The reading of one answer.
pub(super) struct HttpTalk {
    check: Arc<HttpCheck>,
    limits: parse::Limits,
    head: Option<Head>,
    body: Vec<u8>,
}

struct Head {
    status: u16,
    reason: String,
    decoder: Decoder,
    /// Bytes of the answer that were taken.
    used: usize,
}

impl HttpTalk {
    pub(super) fn new(check: Arc<HttpCheck>, answer_max: usize) -> Self {
        let limits = parse::Limits { head_max: answer_max, headers_max: parse::HEADERS_MAX };
        Self { check, limits, head: None, body: Vec::new() }
    }

    pub(super) fn request(&self) -> Vec<u8> {
        self.check.request()
    }

    /// Judges what has come so far.
    pub(super) fn judge(&mut self, answer: &[u8], ended: bool) -> Option<Verdict> {
        if self.head.is_none() {
            match self.read_head(answer) {
                Ok(Some(head)) => self.head = Some(head),
                Ok(None) if !ended => return None,
                Ok(None) | Err(()) => return Some(Verdict::new(CheckStatus::L7Rsp, "")),
            }
        }
        let head = self.head.as_mut().expect("invariant: it was just read");
        let whole = read_body(head, answer, &mut self.body) || ended;
        let head = &*head;
        if self.check.disable_on_404 && head.status == 404 {
            return Some(Verdict { status: CheckStatus::L7Okcd, code: 404, info: head.reason.clone() });
        }
        for expect in &self.check.expects {
            if let Some(verdict) = expect.judge(head, &self.body, whole)? {
                return Some(verdict);
            }
        }
        if self.check.expects.is_empty() && !(200..400).contains(&head.status) {
            return Some(head.wrong_status());
        }
        Some(Verdict { status: CheckStatus::L7Okd, code: head.status, info: String::new() })
    }

    fn read_head(&self, answer: &[u8]) -> Result<Option<Head>, ()> {
        let mut message = Message::default();
        let mut used = 0;
        loop {
            let Some(head) = parse::response(&answer[used..], &self.limits, &mut message).map_err(drop)?
            else {
                return Ok(None);
            };
            used += head.len;
            // Interim answers come before the one that counts.
            if message.status() / 100 != 1 || message.status() == 101 {
                let length = response_length(self.check.method.as_bytes(), message.status(), &head);
                return Ok(Some(Head {
                    status: message.status(),
                    reason: String::from_utf8_lossy(message.reason()).into_owned(),
                    decoder: Decoder::new(length),
                    used,
                }));
            }
        }
    }
}

/// Takes what there is of the body; whether it is whole. Broken framing ends it where it breaks.
fn read_body(head: &mut Head, answer: &[u8], body: &mut Vec<u8>) -> bool {
    let mut trailers = Vec::new();
    while let Ok(step) = head.decoder.step(&answer[head.used..], &mut trailers) {
        let from = head.used + step.skip;
        body.extend_from_slice(&answer[from..from + step.data]);
        head.used = from + step.data;
        if step.skip + step.data == 0 {
            return head.decoder.is_done();
        }
    }
    true
}

impl Head {
    fn wrong_status(&self) -> Verdict {
        Verdict { status: CheckStatus::L7Sts, code: self.status, info: self.reason.clone() }
    }
}

impl HttpExpect {
    /// `None`: more is needed. `Some(None)`: it holds.
    fn judge(&self, head: &Head, body: &[u8], whole: bool) -> Option<Option<Verdict>> {
        let matched = match &self.what {
            HttpMatch::Status(ranges) => ranges.iter().any(|range| range.contains(&head.status)),
            HttpMatch::StatusRegex(regex) => regex.is_match(head.status.to_string().as_bytes()),
            HttpMatch::Body(text) => memchr::memmem::find(body, text).is_some(),
            HttpMatch::BodyRegex(regex) => regex.is_match(body),
        };
        let by_body = matches!(self.what, HttpMatch::Body(_) | HttpMatch::BodyRegex(_));
        // A body that grows may still come to match; only a match is final.
        if by_body && !matched && !whole {
            return None;
        }
        if matched != self.negated {
            return Some(None);
        }
        let mut verdict = match (by_body, matched, body.is_empty()) {
            (false, ..) => head.wrong_status(),
            (true, true, _) => Verdict::new(CheckStatus::L7Rsp, "HTTP check matched unwanted content"),
            (true, false, true) => {
                Verdict::new(CheckStatus::L7Rsp, "HTTP content check could not find a response body")
            }
            (true, false, false) => Verdict::new(CheckStatus::L7Rsp, "HTTP content check did not match"),
        };
        if let Some(comment) = &self.comment {
            verdict.info = comment.clone();
        }
        Some(Some(verdict))
    }
}
