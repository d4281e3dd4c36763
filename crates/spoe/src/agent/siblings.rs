//! Connections of one engine that answer for each other: what `async` allows.
//!
//! A proxy that agreed on `async` takes an ACK on any connection with the same engine-id, and keeps its streams waiting when a
//! connection breaks. So what runs for a broken connection goes on, and the answer is put into the inbox of a sibling.
//!
//! Source: SPOE.txt 1.1 (HAProxy 2.8) §3.2.1 (`async`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use super::handler::Reply;
use crate::frame::{FrameId, StreamId};

/// The connections that may answer for each other; clones share them. Give one to all connections of an agent.
#[derive(Clone, Debug, Default)]
pub struct Siblings(Arc<Mutex<Vec<Member>>>);

#[derive(Debug)]
struct Member {
    engine_id: Vec<u8>,
    inbox: Arc<Mutex<Inbox>>,
}

#[derive(Debug, Default)]
struct Inbox {
    replies: VecDeque<(StreamId, FrameId, Reply)>,
    waker: Option<Waker>,
}

/// A connection's place among its siblings; dropping it leaves.
pub(super) struct Place {
    siblings: Siblings,
    engine_id: Vec<u8>,
    inbox: Arc<Mutex<Inbox>>,
}

impl Siblings {
    pub(super) fn join(&self, engine_id: Vec<u8>) -> Place {
        let inbox = Arc::<Mutex<Inbox>>::default();
        lock(&self.0).push(Member { engine_id: engine_id.clone(), inbox: Arc::clone(&inbox) });
        Place { siblings: self.clone(), engine_id, inbox }
    }
}

impl Place {
    /// Answers that siblings left here; `waker` is woken when more come.
    pub(super) fn take(&self, waker: &Waker) -> VecDeque<(StreamId, FrameId, Reply)> {
        let mut inbox = lock(&self.inbox);
        inbox.waker = Some(waker.clone());
        std::mem::take(&mut inbox.replies)
    }

    /// No more answers are taken: this connection is over. Those that arrived go to another sibling.
    pub(super) fn leave(&self) {
        lock(&self.siblings.0).retain(|member| !Arc::ptr_eq(&member.inbox, &self.inbox));
        let left = std::mem::take(&mut lock(&self.inbox).replies);
        for (stream, frame, reply) in left {
            self.hand_over(stream, frame, reply);
        }
    }

    /// Whether there is another connection of the same engine.
    pub(super) fn has_sibling(&self) -> bool {
        lock(&self.siblings.0).iter().any(|member| self.is_sibling(member))
    }

    /// Gives an answer to another connection of the same engine; false if there is none.
    pub(super) fn hand_over(&self, stream: StreamId, frame: FrameId, reply: Reply) -> bool {
        let members = lock(&self.siblings.0);
        let Some(member) = members.iter().find(|member| self.is_sibling(member)) else { return false };
        let mut inbox = lock(&member.inbox);
        inbox.replies.push_back((stream, frame, reply));
        if let Some(waker) = inbox.waker.take() {
            waker.wake();
        }
        true
    }

    fn is_sibling(&self, member: &Member) -> bool {
        member.engine_id == self.engine_id && !Arc::ptr_eq(&member.inbox, &self.inbox)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

/// No code of others runs under these locks, so what a panic leaves is whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
