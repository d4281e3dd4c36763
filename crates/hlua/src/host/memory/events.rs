//! An event bus in memory: bounded queues, read by handlers, ended by `unsub`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::host::{Event, EventHandle, EventStream, Events, HostResult, Scope, Subscribed};

/// More than so many waiting events pause a subscription.
const WAITING_MAX: usize = 100;

/// The bus.
#[derive(Default)]
pub struct MemoryEvents {
    subscriptions: RefCell<Vec<Subscription>>,
    patterns: PatternQueues,
}

/// Who listens to which pattern reference.
pub(super) type PatternQueues = Arc<Mutex<Vec<(i64, Vec<String>, Arc<Mutex<Queue>>)>>>;

/// Publishes an event of a pattern reference.
pub(super) fn tell(queues: &PatternQueues, id: i64, name: &'static str) {
    let listeners = queues.lock().expect("invariant: nothing panics with the list locked");
    for (_, names, queue) in listeners.iter().filter(|(other, ..)| *other == id) {
        if names.iter().any(|wanted| wanted == name || wanted == "PAT_REF") {
            lock(queue).push(Event { name, when: 1_700_000_000, data: None });
        }
    }
}

type Subscription = (Scope, Vec<String>, Arc<Mutex<Queue>>);

#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Event>,
    paused: bool,
    overflow: Option<usize>,
    ended: bool,
    reader: Option<Waker>,
}

impl MemoryEvents {
    pub(super) fn new(patterns: PatternQueues) -> Self {
        MemoryEvents { subscriptions: RefCell::default(), patterns }
    }

    /// Publishes to the subscriptions of one server, then to the global ones.
    pub fn publish(&self, event: &Event) {
        for (scope, names, queue) in self.subscriptions.borrow().iter() {
            let of_server = match (scope, &event.data) {
                (Scope::Global, _) => true,
                (Scope::Server { proxy_uuid, puid, rid }, Some(data)) => {
                    (*proxy_uuid, *puid, *rid) == (data.proxy_uuid, data.puid, data.rid)
                }
                (Scope::Server { .. }, None) | (Scope::Pattern { .. }, _) => false,
            };
            if of_server && names.iter().any(|name| name == event.name) {
                lock(queue).push(event.clone());
            }
        }
    }
}

impl Queue {
    fn push(&mut self, event: Event) {
        if self.ended || self.paused {
            return;
        }
        self.waiting.push_back(event);
        if self.waiting.len() > WAITING_MAX {
            self.paused = true;
            self.overflow = Some(self.waiting.len());
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> std::sync::MutexGuard<'_, Queue> {
    queue.lock().expect("invariant: nothing panics with the queue locked")
}

impl Events for MemoryEvents {
    fn is_known(&self, name: &str) -> bool {
        [
            "SERVER_ADD",
            "SERVER_DEL",
            "SERVER_UP",
            "SERVER_DOWN",
            "SERVER_STATE",
            "SERVER_ADMIN",
            "SERVER_CHECK",
            "PAT_REF",
            "PAT_REF_ADD",
            "PAT_REF_DEL",
            "PAT_REF_SET",
            "PAT_REF_COMMIT",
            "PAT_REF_CLEAR",
        ]
        .contains(&name)
    }

    fn subscribe(&self, scope: Scope, names: &[String]) -> HostResult<Subscribed> {
        let queue = Arc::new(Mutex::new(Queue::default()));
        if let Scope::Pattern { id } = scope {
            let mut patterns = self.patterns.lock().expect("invariant: nothing panics with the list locked");
            patterns.push((id, names.to_vec(), queue.clone()));
        }
        self.subscriptions.borrow_mut().push((scope, names.to_vec(), queue.clone()));
        Ok(Subscribed { events: Box::new(Reader(queue.clone())), handle: Box::new(Handle(queue)) })
    }
}

struct Reader(Arc<Mutex<Queue>>);

impl EventStream for Reader {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = lock(&self.0);
        if let Some(event) = queue.waiting.pop_front() {
            return Poll::Ready(Some(event));
        }
        queue.paused = false;
        if queue.ended {
            return Poll::Ready(None);
        }
        queue.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn take_overflow(&mut self) -> Option<usize> {
        lock(&self.0).overflow.take()
    }
}

struct Handle(Arc<Mutex<Queue>>);

impl EventHandle for Handle {
    fn unsubscribe(&self) {
        let mut queue = lock(&self.0);
        queue.ended = true;
        if let Some(reader) = queue.reader.take() {
            reader.wake();
        }
    }
}
