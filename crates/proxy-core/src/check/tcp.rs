//! `option tcp-check`: sends and expects in order.

use std::{fmt, sync::Arc};

use regex::bytes::Regex;

use super::{Verdict, status::CheckStatus};

/// One `tcp-check` line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TcpStep {
    /// `send`, `send-binary`. What has come before is forgotten.
    Send(Vec<u8>),
    /// `expect`.
    Expect {
        /// `!`: it must not be like that.
        negated: bool,
        /// What to look for.
        what: TcpMatch,
        /// `comment`.
        comment: Option<String>,
    },
}

/// What a `tcp-check expect` looks for in what has come.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TcpMatch {
    /// `string`.
    Text(Vec<u8>),
    /// `binary`.
    Binary(Vec<u8>),
    /// `rstring`.
    Regex(Regex),
    /// `rbinary`: over the bytes in hexadecimal, upper case.
    BinaryRegex(Regex),
}

impl TcpMatch {
    fn is_in(&self, answer: &[u8]) -> bool {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => memchr::memmem::find(answer, bytes).is_some(),
            Self::Regex(regex) => regex.is_match(answer),
            Self::BinaryRegex(regex) => {
                regex.is_match(answer.iter().map(|b| format!("{b:02X}")).collect::<String>().as_bytes())
            }
        }
    }
}

impl fmt::Display for TcpMatch {
    /// As HAProxy names it after `content`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "'{}'", String::from_utf8_lossy(text)),
            Self::Binary(_) => f.write_str("(binary)"),
            Self::Regex(_) => f.write_str("(regex)"),
            Self::BinaryRegex(_) => f.write_str("(binary regex)"),
        }
    }
}

/// Where a check stands in its steps.
pub(super) struct TcpTalk {
    steps: Arc<[TcpStep]>,
    at: usize,
}

impl TcpTalk {
    pub(super) fn new(steps: Arc<[TcpStep]>) -> Self {
        Self { steps, at: 0 }
    }

    /// Goes on as far as what has come allows.
    pub(super) fn advance(
        &mut self,
        answer: &mut Vec<u8>,
        ended: bool,
        out: &mut Vec<u8>,
    ) -> Option<Verdict> {
        while let Some(step) = self.steps.get(self.at) {
            match step {
                TcpStep::Send(bytes) => {
                    answer.clear();
                    out.extend_from_slice(bytes);
                }
                TcpStep::Expect { negated, what, comment } => {
                    let refused = expect(*negated, what, answer, ended)?;
                    if let Some(text) = refused {
                        let tail = comment.as_ref().map_or(String::new(), |c| format!(" comment: {c}"));
                        let info = format!("TCPCHK {text} at step {}{tail}", self.at + 1);
                        return Some(Verdict::new(CheckStatus::L7Rsp, info));
                    }
                }
            }
            self.at += 1;
        }
        Some(Verdict::new(CheckStatus::L7Okd, "(tcp-check)"))
    }

    /// Where it stands, as reported when time is over.
    pub(super) fn place(&self) -> String {
        let what = match self.steps.get(self.at) {
            Some(TcpStep::Expect { what: TcpMatch::Text(text), .. }) => {
                format!(" (expect string '{}')", String::from_utf8_lossy(text))
            }
            Some(TcpStep::Expect { what: TcpMatch::Binary(_), .. }) => " (expect binary)".to_owned(),
            Some(TcpStep::Expect { what: TcpMatch::Regex(_), .. }) => " (expect regex)".to_owned(),
            Some(TcpStep::Expect { what: TcpMatch::BinaryRegex(_), .. }) => {
                " (expect binary regex)".to_owned()
            }
            Some(TcpStep::Send(_)) => " (send)".to_owned(),
            None => String::new(),
        };
        format!(" at step {} of tcp-check{what}", self.at + 1)
    }
}

/// `None`: more is needed. `Some(None)`: it holds.
fn expect(negated: bool, what: &TcpMatch, answer: &[u8], ended: bool) -> Option<Option<String>> {
    if answer.is_empty() {
        return ended.then(|| Some("got an empty response".to_owned()));
    }
    match (what.is_in(answer), negated) {
        (true, false) | (false, true) => Some(None),
        (true, true) => Some(Some(format!("matched unwanted content {what}"))),
        (false, false) => ended.then(|| Some(format!("did not match content {what}"))),
    }
}
