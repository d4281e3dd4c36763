//! What changes of a server have to tell, and who tells it.
//!
//! Changes put events and log lines in here under the server's lock, in the order in which they
//! are made. After the lock is released one thread at a time delivers, so that observers see that
//! order whichever threads made the changes; a thread that finds another one delivering leaves
//! its own to that one.

use std::{cell::Cell, collections::VecDeque, sync::Arc};

use super::{ChangeContext, Core, Server};
use crate::backend::{
    event::{OpState, ServerEvent, StateCause, StateChange},
    notice::Notice,
};

/// What is still to be told.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Output>,
    /// Somebody delivers.
    delivering: bool,
}

enum Output {
    Event(ServerEvent),
    Notice(Notice),
}

impl Server {
    /// Delivers what is in the outbox, unless another thread (or a caller of this one) is at it.
    pub(super) fn deliver(self: &Arc<Self>, cx: &ChangeContext<'_>) {
        let Some(turn) = Turn::take(self) else { return };
        while let Some(output) = turn.next() {
            match &output {
                Output::Event(event) => cx.observer.on_server_event(self, event),
                Output::Notice(notice) => self.send_notice(notice, cx),
            }
        }
    }

    fn send_notice(self: &Arc<Self>, notice: &Notice, cx: &ChangeContext<'_>) {
        cx.observer.on_server_notice(self, notice);
        if let Some(worker) = cx.worker {
            crate::log::send(worker, &cx.proxy.logs, notice.level, notice.text.as_bytes());
        }
    }
}

/// The right to deliver; given up when the outbox is found empty, or when an observer panics.
struct Turn<'a> {
    server: &'a Server,
    held: Cell<bool>,
}

impl<'a> Turn<'a> {
    fn take(server: &'a Server) -> Option<Self> {
        let mut core = server.core.lock();
        let outbox = &mut core.outbox;
        let free = !outbox.delivering && !outbox.waiting.is_empty();
        outbox.delivering |= free;
        free.then(|| Self { server, held: Cell::new(true) })
    }

    /// The next output. An empty outbox ends the turn under the same lock, so that what is put in
    /// afterwards finds somebody to deliver it.
    fn next(&self) -> Option<Output> {
        let mut core = self.server.core.lock();
        let output = core.outbox.waiting.pop_front();
        core.outbox.delivering = output.is_some();
        self.held.set(output.is_some());
        output
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.held.get() {
            self.server.core.lock().outbox.delivering = false;
        }
    }
}

impl Core {
    pub(super) fn tell(&mut self, event: ServerEvent) {
        self.outbox.waiting.push_back(Output::Event(event));
    }

    pub(super) fn note(&mut self, notice: Notice) {
        self.outbox.waiting.push_back(Output::Notice(notice));
    }

    /// Tells of the step from `old` to the present state, if it was one: down or up, then state.
    pub(super) fn tell_state(&mut self, old: OpState, requeued: usize, cause: StateCause) {
        let new = self.op;
        if old == new {
            return;
        }
        match (old, new) {
            (_, OpState::Stopped) => self.tell(ServerEvent::Down),
            (OpState::Stopped, _) => self.tell(ServerEvent::Up),
            _ => {}
        }
        self.tell(ServerEvent::State(StateChange { old, new, requeued, cause }));
    }
}
