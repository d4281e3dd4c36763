//! One check of one server, without I/O.
//!
//! ```text
//!  begin ─► connecting ─ handle_connected ─► talking ─ answer judged ─► done
//!               │ handle_error, handle_timeout  │ handle_error, handle_end, handle_timeout ─► done
//! ```
//! The result comes out of [`Check::poll_event`] once; whatever comes in afterwards changes nothing.
//! INVARIANT: never more than `answer_max` bytes of an answer are kept.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{CheckResult, CheckSpec, Verdict, http::HttpTalk, status::CheckStatus, tcp::TcpTalk};

/// How long a check may take, and how much it may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For connecting; for the whole check where `answer` is `None`.
    pub connect: Duration,
    /// For the answer, counted from the connection (`timeout check`).
    pub answer: Option<Duration>,
    /// Bytes of the answer that count (`tune.bufsize`).
    pub answer_max: usize,
}

/// A check under way.
pub struct Check {
    talk: Talk,
    limits: Limits,
    begun: Instant,
    deadline: Option<Instant>,
    phase: Phase,
    answer: Vec<u8>,
    ended: bool,
    outgoing: Vec<u8>,
    result: Option<CheckResult>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Talking,
    Done,
}

enum Talk {
    Connect,
    Http(HttpTalk),
    Tcp(TcpTalk),
    Probe(Arc<dyn super::Prober>),
}

impl Check {
    /// Begins a check; the owner connects now.
    #[must_use]
    pub fn begin(spec: &CheckSpec, limits: Limits, now: Instant) -> Self {
        let talk = match spec {
            CheckSpec::Connect => Talk::Connect,
            CheckSpec::Http(check) => Talk::Http(HttpTalk::new(check.clone(), limits.answer_max)),
            CheckSpec::Tcp(steps) if steps.is_empty() => Talk::Connect,
            CheckSpec::Tcp(steps) => Talk::Tcp(TcpTalk::new(steps.clone())),
            CheckSpec::Probe(prober) => Talk::Probe(prober.clone()),
        };
        Self {
            talk,
            limits,
            begun: now,
            deadline: now.checked_add(limits.connect),
            phase: Phase::Connecting,
            answer: Vec::new(),
            ended: false,
            outgoing: Vec::new(),
            result: None,
        }
    }

    /// The connection stands. Afterwards drain [`poll_event`](Self::poll_event), then
    /// [`poll_transmit`](Self::poll_transmit).
    pub fn handle_connected(&mut self, now: Instant) {
        if self.phase != Phase::Connecting {
            return;
        }
        self.phase = Phase::Talking;
        if let Some(answer) = self.limits.answer {
            self.deadline = now.checked_add(answer);
        }
        match &self.talk {
            Talk::Connect => self.end(now, Verdict::new(CheckStatus::L4Ok, "")),
            Talk::Http(talk) => self.outgoing = talk.request(),
            Talk::Probe(prober) => self.outgoing = prober.request(),
            Talk::Tcp(_) => self.judge(now),
        }
    }

    /// Connecting, reading or writing failed.
    pub fn handle_error(&mut self, now: Instant, error: &io::Error) {
        let status = match (self.phase, error.kind()) {
            (Phase::Connecting, io::ErrorKind::TimedOut) => CheckStatus::L4Tout,
            (Phase::Connecting, _) => CheckStatus::L4Con,
            (Phase::Talking, _) => CheckStatus::SockErr,
            (Phase::Done, _) => return,
        };
        self.end(now, Verdict::new(status, describe(error)));
    }

    /// Takes bytes of the answer; always uses them all, keeping what counts. Afterwards drain
    /// [`poll_event`](Self::poll_event), then [`poll_transmit`](Self::poll_transmit).
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        if self.phase == Phase::Talking {
            let room = self.limits.answer_max.saturating_sub(self.answer.len());
            self.answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
            self.ended |= bytes.len() >= room;
            self.judge(now);
        }
        bytes.len()
    }

    /// The server will send no more.
    pub fn handle_end(&mut self, now: Instant) {
        if self.phase == Phase::Talking {
            self.ended = true;
            self.judge(now);
            if self.phase == Phase::Talking {
                self.end(now, Verdict::new(CheckStatus::L7Rsp, ""));
            }
        }
    }

    /// Ends the check if its time is over; harmless when early.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        let verdict = match (self.phase, &self.talk) {
            (Phase::Done, _) => return,
            (Phase::Connecting, _) => Verdict::new(CheckStatus::L4Tout, ""),
            (Phase::Talking, Talk::Tcp(talk)) => Verdict::new(CheckStatus::L7Tout, talk.place()),
            (Phase::Talking, _) => Verdict::new(CheckStatus::L7Tout, ""),
        };
        self.end(now, verdict);
    }

    /// The result, once.
    pub fn poll_event(&mut self) -> Option<CheckResult> {
        self.result.take()
    }

    /// What to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        Some(std::mem::take(&mut self.outgoing)).filter(|bytes| !bytes.is_empty())
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.phase != Phase::Done)
    }

    fn judge(&mut self, now: Instant) {
        let verdict = match &mut self.talk {
            Talk::Connect => None,
            Talk::Http(talk) => talk.judge(&self.answer, self.ended),
            Talk::Tcp(talk) => talk.advance(&mut self.answer, self.ended, &mut self.outgoing),
            Talk::Probe(prober) => prober.judge(&self.answer, self.ended),
        };
        if let Some(verdict) = verdict {
            self.end(now, verdict);
        }
    }

    fn end(&mut self, now: Instant, verdict: Verdict) {
        self.phase = Phase::Done;
        self.result = Some(CheckResult {
            agent: false,
            status: verdict.status,
            code: verdict.code,
            info: verdict.info.into(),
            duration: now.saturating_duration_since(self.begun),
        });
    }
}

/// The system's words for an error, without the number that Rust appends.
fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
