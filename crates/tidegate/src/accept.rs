//! Accepting connections, within the limits.
//!
//! A frontend at its `maxconn`, or a process at the global one, leaves new connections in the
//! kernel's queue until one ends: nothing is refused, nothing is dropped.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use proxy_core::backend::listening::{ListenState, Listening};

/// Connections accepted in a row before other tasks get their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// How long to wait after the system ran out of something.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// A number of places, shared by all threads.
#[derive(Debug)]
pub struct Limit {
    max: usize,
    /// Places that nobody else can have: those in use, and those of acceptors that wait for a client.
    taken: AtomicUsize,
    used: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

impl Limit {
    /// `max` places; 0 for any number.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        let max = if max == 0 { usize::MAX } else { max };
        Arc::new(Self {
            max,
            taken: AtomicUsize::new(0),
            used: AtomicUsize::new(0),
            waiting: Mutex::default(),
        })
    }

    /// How many places there are; `usize::MAX` for any number.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many places are in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn try_take(self: &Arc<Self>) -> Option<Place> {
        let more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Place { limit: self.clone(), used: false })
    }

    /// Takes a place, waiting for one if none is free.
    ///
    /// # Yield and cancel safety
    /// Dropping the future takes nothing.
    pub async fn take(self: &Arc<Self>) -> Place {
        poll_fn(|cx| {
            if let Some(place) = self.try_take() {
                return Poll::Ready(place);
            }
            self.waiting.lock().push(cx.waker().clone());
            // One may have come free before we were on the list.
            self.try_take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// A taken place; free again when dropped.
#[derive(Debug)]
pub struct Place {
    limit: Arc<Limit>,
    used: bool,
}

impl Place {
    /// A client has come for it.
    fn begin(&mut self) {
        self.used = true;
        self.limit.used.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.used {
            self.limit.used.fetch_sub(1, Ordering::Relaxed);
        }
        let before = self.limit.taken.fetch_sub(1, Ordering::AcqRel);
        if before >= self.limit.max {
            for waker in std::mem::take(&mut *self.limit.waiting.lock()) {
                waker.wake();
            }
        }
    }
}

/// What the accept loop needs of its surroundings.
pub trait Surroundings {
    /// Waits.
    fn pause(&self, time: Duration) -> impl Future<Output = ()>;
    /// Says that accepting failed.
    fn on_error(&self, error: &std::io::Error);
    /// Whether the frontend is open.
    fn listening(&self) -> &Listening;
    /// Serves a connection; its places go with it.
    fn serve(&self, io: proxy_core::host::BoxIo, places: [Place; 2]);
}

/// Accepts until the frontend is stopped. `limits` are the frontend's and the process's.
pub async fn accept_loop(
    mut acceptor: crate::net::Acceptor,
    limits: [Arc<Limit>; 2],
    around: impl Surroundings,
) {
    let mut in_a_row = 0;
    loop {
        match around.listening().state() {
            ListenState::Open => {}
            ListenState::Paused => {
                acceptor.close_door();
                poll_fn(|cx| around.listening().poll_changed(ListenState::Paused, cx)).await;
                acceptor = match acceptor.open_door() {
                    Ok(acceptor) => acceptor,
                    Err(error) => return around.on_error(&error),
                };
                continue;
            }
            ListenState::Stopped => return,
        }
        let next = async {
            let places = [limits[0].take().await, limits[1].take().await];
            (acceptor.accept().await, places)
        };
        match while_open(around.listening(), next).await {
            None => continue,
            Some((Ok(io), mut places)) => {
                places.iter_mut().for_each(Place::begin);
                around.serve(io, places);
            }
            Some((Err(error), _)) if is_passing(&error) => {}
            Some((Err(error), _)) => {
                around.on_error(&error);
                around.pause(PAUSE_AFTER_ERROR).await;
            }
        }
        in_a_row += 1;
        if in_a_row == ACCEPTS_PER_TURN {
            in_a_row = 0;
            yield_now().await;
        }
    }
}

/// Runs `future` to its end, or until the frontend is not open any more.
async fn while_open<T>(listening: &Listening, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => listening.poll_changed(ListenState::Open, cx).map(|_| None),
    })
    .await
}

/// A connection that went away before it was accepted: the next one may be fine.
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | WouldBlock)
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;

    #[test]
    fn a_freed_place_wakes_who_waits() {
        let limit = Limit::new(1);
        let mut cx = Context::from_waker(Waker::noop());
        let mut first = Box::pin(limit.take());
        let Poll::Ready(place) = first.as_mut().poll(&mut cx) else { panic!("one is free") };
        let mut second = Box::pin(limit.take());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert_eq!(limit.waiting.lock().len(), 1);
        drop(place);
        assert_eq!(limit.waiting.lock().len(), 0, "woken");
        assert!(second.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn zero_is_no_limit() {
        let limit = Limit::new(0);
        let mut places: Vec<_> = std::iter::from_fn(|| limit.try_take()).take(1000).collect();
        assert_eq!(places.len(), 1000);
        assert_eq!(limit.used(), 0, "no client has come yet");
        places.iter_mut().take(10).for_each(Place::begin);
        assert_eq!(limit.used(), 10);
        drop(places);
        assert_eq!(limit.used(), 0);
    }
}
