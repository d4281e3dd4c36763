//! Whether a frontend accepts connections: what `disable`, `enable` and `shutdown frontend` change.
//!
//! This is the wish; whoever has the sockets [waits](Listening::poll_changed) for it and obeys.
//!
//! Source: management.txt §9.3 on those commands; lua-api "Proxy.pause", "Proxy.resume", "Proxy.stop".

use std::task::{Context, Poll};

use crate::watch::Watch;

/// A frontend's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenState {
    /// Accepts.
    Open,
    /// Refuses connections until it is resumed.
    Paused,
    /// Never again.
    Stopped,
}

/// The state, shared by all threads; open at the start.
#[derive(Debug, Default)]
pub struct Listening(Watch);

const OPEN: u64 = 0;
const PAUSED: u64 = 1;
const STOPPED: u64 = 2;

impl Listening {
    /// What it is.
    #[must_use]
    pub fn state(&self) -> ListenState {
        state(self.0.get())
    }

    /// Pauses it; false if it was not open.
    pub fn pause(&self) -> bool {
        self.0.update(|now| (now == OPEN).then_some(PAUSED))
    }

    /// Opens it again; false if it was not paused.
    pub fn resume(&self) -> bool {
        self.0.update(|now| (now == PAUSED).then_some(OPEN))
    }

    /// Stops it for good; false if it was stopped.
    pub fn stop(&self) -> bool {
        self.0.update(|now| (now != STOPPED).then_some(STOPPED))
    }

    /// Ready with the state once that is not `seen`.
    pub fn poll_changed(&self, seen: ListenState, cx: &mut Context<'_>) -> Poll<ListenState> {
        let seen = match seen {
            ListenState::Open => OPEN,
            ListenState::Paused => PAUSED,
            ListenState::Stopped => STOPPED,
        };
        self.0.poll_changed(seen, cx).map(state)
    }
}

fn state(value: u64) -> ListenState {
    match value {
        OPEN => ListenState::Open,
        PAUSED => ListenState::Paused,
        _ => ListenState::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::{ListenState::*, Listening};

    #[test]
    fn a_stopped_frontend_stays_stopped() {
        let listening = Listening::default();
        assert_eq!(listening.state(), Open);
        assert!(!listening.resume() && listening.pause() && !listening.pause());
        assert_eq!(listening.state(), Paused);
        assert!(listening.resume() && listening.stop());
        assert!(!listening.pause() && !listening.resume() && !listening.stop());
        assert_eq!(listening.state(), Stopped);
    }
}
