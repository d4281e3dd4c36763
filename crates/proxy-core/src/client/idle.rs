//! Connections of the client that wait for their next request.

use std::{
    pin::Pin,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::Origin;
use crate::host::{Addr, BoxIo};

/// What a connection can be used again for: its origin, and where it was made to go instead.
pub(super) type Key = (Origin, Option<Addr>);

/// Idle connections, last in, first out.
#[derive(Default)]
pub(super) struct Idle {
    by_origin: FxHashMap<Key, Vec<(BoxIo, Instant)>>,
    /// A task will look for old ones.
    pub(super) purging: bool,
}

impl Idle {
    /// An open connection to there.
    pub(super) fn take(&mut self, key: &Key) -> Option<BoxIo> {
        let list = self.by_origin.get_mut(key)?;
        while let Some((mut io, _)) = list.pop() {
            if is_quiet(&mut io) {
                return Some(io);
            }
        }
        None
    }

    /// Keeps a connection, in place of the oldest where there are enough.
    pub(super) fn put(&mut self, key: &Key, io: BoxIo, now: Instant) {
        // Most often there is a list already, and the key need not be copied.
        if !self.by_origin.contains_key(key) {
            self.by_origin.insert(key.clone(), Vec::new());
        }
        let list = self.by_origin.get_mut(key).expect("the list was just made");
        if list.len() == PER_ORIGIN_MAX {
            list.remove(0);
        }
        list.push((io, now));
    }

    /// Closes what is dead or old; whether any is left.
    pub(super) fn purge(&mut self, now: Instant) -> bool {
        self.by_origin.retain(|_, list| {
            list.retain_mut(|(io, since)| now.saturating_duration_since(*since) < IDLE_MAX && is_quiet(io));
            !list.is_empty()
        });
        self.purging = !self.by_origin.is_empty();
        self.purging
    }
}

/// Whether it is open and the server has sent nothing unasked.
fn is_quiet(io: &mut BoxIo) -> bool {
    let mut byte = [0];
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(io).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
}

/// Idle connections kept for one origin.
const PER_ORIGIN_MAX: usize = 32;
/// How long a connection may be idle.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// How often old ones are looked for.
pub(super) const PURGE_EVERY: Duration = Duration::from_secs(2);
