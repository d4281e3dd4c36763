//! What must be: which answers a request may get, and which state a server has after its checks.

use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};

/// A request as its client sent it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The connection it went out on.
    pub(crate) link: u32,
    /// The agent is to refuse it.
    pub(crate) deny: bool,
    /// The script is to sleep.
    pub(crate) nap: bool,
    /// Bytes of body.
    pub(crate) body: usize,
}

/// How the exchange with the agent ended for one request, as its variables tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offload {
    /// The id as the agent said it.
    pub(crate) echo: String,
    /// The error's code, if it was one.
    pub(crate) failed: String,
    /// How long it took, in milliseconds.
    pub(crate) millis: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its body's first line.
        mark: String,
    },
    /// The connection ended before the answer did.
    Cut,
    /// An earlier answer said that the connection ends, and it did.
    Unserved,
    /// The client left.
    Aborted,
    /// Nothing came for very long.
    Silence,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { status, mark } => write!(f, "{status} {mark}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Every request with what became of it. A handle.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Rc<RefCell<Book>>);

/// What a ledger holds.
#[derive(Default)]
pub(crate) struct Book {
    /// What was asked, by id.
    pub(crate) asked: BTreeMap<u32, Asked>,
    /// What became of it; more than one fate is a fault.
    pub(crate) fates: BTreeMap<u32, Vec<Fate>>,
    /// The connections on which servers got it.
    pub(crate) served: BTreeMap<u32, Vec<u32>>,
    /// What the offload left at the proxy, as it came with the request to servers.
    pub(crate) offloads: BTreeMap<u32, Offload>,
    /// Requests that servers left unanswered.
    pub(crate) stalled: usize,
    /// Requests that the agent answered too late.
    pub(crate) late: usize,
}

impl Ledger {
    /// Reads or writes it.
    pub(crate) fn with<R>(&self, with: impl FnOnce(&mut Book) -> R) -> R {
        with(&mut self.0.borrow_mut())
    }
}

/// The line a server puts first into the body of its answer.
pub(crate) fn mark(id: u32, agent: &str, nap: &str, body: usize) -> String {
    format!("id={id} agent={agent} nap={nap} got={body}")
}

/// A server's health, counted anew from its checks: down after `fall` failures in a row (the very first
/// one suffices), up after `rise` successes in a row.
#[derive(Debug)]
pub(crate) struct Health {
    rise: u32,
    fall: u32,
    up: bool,
    left: u32,
}

impl Health {
    /// A server that has not been checked.
    pub(crate) fn new(rise: u32, fall: u32) -> Self {
        Self { rise, fall, up: true, left: 1 }
    }

    /// Counts a check; the new state if it changed.
    pub(crate) fn check(&mut self, passed: bool) -> Option<bool> {
        let against = passed != self.up;
        if !against {
            self.left = if self.up { self.fall } else { self.rise };
            return None;
        }
        self.left -= 1;
        if self.left > 0 {
            return None;
        }
        self.up = passed;
        self.left = if self.up { self.fall } else { self.rise };
        Some(self.up)
    }
}
