//! The transaction: everything a rule, a sample, a filter or an action may look at or change.
//!
//! It is lent by move. A stream owns one, gives it to an [`Action`](crate::action::Action) or
//! [`Filter`](crate::filter::Filter) and gets it back with the answer. It lives as long as its exchange;
//! the memory behind its parts goes to the worker's next one, so an idle connection has none.

use std::{
    any::Any,
    cell::RefCell,
    ops::{Deref, DerefMut},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use crate::{
    backend::{queue::Priority, server::Server},
    channel::Channel,
    config::Proxy,
    host::PacketMarks,
    http::Message,
    log::TxnLog,
    sample::Sampling,
    session::Session,
    stick_table::{Tracked, Tracking},
    vars::Vars,
    worker::Worker,
};

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client to the server.
    Request,
    /// From the server to the client.
    Response,
}

/// A transaction, or the place of one that is lent out ([`Txn::take`]).
///
/// Dereferences to [`TxnData`]; doing so while it is lent is a programming error and panics.
pub struct Txn(Option<Box<TxnData>>);

impl Txn {
    /// Boxes a transaction.
    #[must_use]
    pub fn new(data: TxnData) -> Self {
        Self(Some(Box::new(data)))
    }

    /// The place of a transaction that does not exist yet.
    pub(crate) fn vacant() -> Self {
        Self(None)
    }

    /// Takes the transaction out and leaves the empty place; costs a pointer.
    #[must_use]
    pub fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Ends the transaction, if there is one.
    pub(crate) fn end(&mut self) {
        if let Some(mut data) = self.0.take() {
            data.recycle();
        }
    }

    /// Whether the transaction is lent to somebody.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        self.0.is_none()
    }
}

impl Deref for Txn {
    type Target = TxnData;
    fn deref(&self) -> &TxnData {
        self.0.as_deref().expect("a transaction is not used while it is lent")
    }
}

impl DerefMut for Txn {
    fn deref_mut(&mut self) -> &mut TxnData {
        self.0.as_deref_mut().expect("a transaction is not used while it is lent")
    }
}

/// The parts of a transaction.
pub struct TxnData {
    /// This thread's context.
    pub worker: Rc<Worker>,
    /// The client connection.
    pub session: Rc<Session>,
    /// Where the request came in (never changes).
    pub frontend: Arc<Proxy>,
    /// Where it goes; the frontend until a backend is chosen.
    pub backend: Arc<Proxy>,
    /// The server, once chosen.
    pub server: Option<Arc<Server>>,
    /// The HTTP request head; empty in TCP mode.
    pub req: Message,
    /// The HTTP response head; empty until one was received or made.
    pub res: Message,
    /// Bytes on the way to the server: raw in TCP mode, decoded body in HTTP mode.
    pub req_chn: Channel,
    /// Bytes on the way to the client.
    pub res_chn: Channel,
    /// Variables of scopes `txn`, `req` and `res`.
    pub vars: TxnVars,
    /// The stream's number (`sid`).
    pub id: u64,
    /// When the request began (head complete in HTTP mode, accept in TCP mode).
    pub started: Instant,
    /// What packets to the client shall carry from now on; the stream takes it.
    pub marks: Option<PacketMarks>,
    /// Its place in a queue.
    pub priority: Priority,
    /// What rules on content track.
    pub tracked: Tracking,
    /// What the log line says.
    pub log: TxnLog,
    /// What the evaluation of samples notes and must know.
    pub sampling: Sampling,
    /// The service chosen by `use-service`, run instead of a server.
    pub service: Option<Arc<dyn crate::applet::ServiceMaker>>,
    /// What extensions keep for the length of this transaction, by slot; see [`TxnData::private`].
    pub private: Vec<Option<Box<dyn Any>>>,
}

/// The memory of an ended transaction. Empty, but it has room.
#[derive(Default)]
pub(crate) struct Recycled {
    req: Message,
    res: Message,
    vars: TxnVars,
    request_line: Vec<u8>,
    private: Vec<Option<Box<dyn Any>>>,
}

impl Recycled {
    /// Bytes of the largest parts, for the pool's bound.
    pub(crate) fn size(&self) -> usize {
        self.req.capacity() + self.res.capacity() + self.request_line.capacity()
    }
}

/// The variables that live no longer than a transaction.
#[derive(Default)]
pub struct TxnVars {
    /// Whole exchange.
    pub txn: Vars,
    /// While the request is processed.
    pub req: Vars,
    /// While the response is processed.
    pub res: Vars,
}

impl Txn {
    /// A transaction of no traffic, to evaluate expressions outside of any connection (`set-var` of
    /// the `global` section). `None` where no proxy listens.
    #[must_use]
    pub fn detached(worker: &Rc<Worker>) -> Option<Self> {
        let listens = |proxy: &&Arc<Proxy>| !proxy.binds.is_empty();
        let frontend = worker.shared.config.proxies.iter().find(listens)?.clone();
        let now = worker.host.now();
        let session = Session {
            id: 0,
            bind: frontend.binds[0].clone(),
            frontend,
            src: None,
            dst: None,
            accepted: now,
            vars: RefCell::default(),
            tracked: RefCell::default(),
        };
        Some(Self::new(TxnData::begin(worker, &Rc::new(session), now)))
    }
}

impl TxnData {
    /// A transaction of a session, before its request is known.
    pub(crate) fn begin(worker: &Rc<Worker>, session: &Rc<Session>, now: Instant) -> Self {
        let Recycled { req, res, vars, request_line, private } = worker.buffers.take_txn();
        Self {
            worker: worker.clone(),
            session: session.clone(),
            frontend: session.frontend.clone(),
            backend: session.frontend.clone(),
            server: None,
            req,
            res,
            req_chn: Channel::default(),
            res_chn: Channel::default(),
            vars,
            id: 0,
            started: now,
            marks: None,
            priority: Priority::default(),
            tracked: Tracking::default(),
            log: TxnLog { request_line, ..TxnLog::default() },
            sampling: Sampling::default(),
            service: None,
            private,
        }
    }

    /// Gives its memory to the worker's next transaction.
    fn recycle(&mut self) {
        self.tracked = Tracking::default();
        self.req.clear();
        self.res.clear();
        self.req_chn.reset(&self.worker.buffers);
        self.res_chn.reset(&self.worker.buffers);
        self.vars.txn.clear();
        self.vars.req.clear();
        self.vars.res.clear();
        self.log.request_line.clear();
        self.private.clear();
        self.worker.buffers.put_txn(Recycled {
            req: std::mem::take(&mut self.req),
            res: std::mem::take(&mut self.res),
            vars: std::mem::take(&mut self.vars),
            request_line: std::mem::take(&mut self.log.request_line),
            private: std::mem::take(&mut self.private),
        });
    }

    /// The value that an extension keeps in `slot` of this transaction.
    ///
    /// Slots are handed out by [`Registry::private_slot`](crate::registry::Registry::private_slot).
    pub fn private(&mut self, slot: usize) -> &mut Option<Box<dyn Any>> {
        if self.private.len() <= slot {
            self.private.resize_with(slot + 1, || None);
        }
        &mut self.private[slot]
    }

    /// Calls `with` with what is tracked under a number, by the exchange or else by the session.
    pub fn with_tracked<R>(&self, number: usize, with: impl FnOnce(Option<&Tracked>) -> R) -> R {
        match self.tracked.get(number) {
            Some(tracked) => with(Some(tracked)),
            None => with(self.session.tracked.borrow().get(number)),
        }
    }

    /// The bytes of one direction.
    #[must_use]
    pub fn channel(&self, direction: Direction) -> &Channel {
        match direction {
            Direction::Request => &self.req_chn,
            Direction::Response => &self.res_chn,
        }
    }

    /// The bytes of one direction, to change them.
    pub fn channel_mut(&mut self, direction: Direction) -> &mut Channel {
        match direction {
            Direction::Request => &mut self.req_chn,
            Direction::Response => &mut self.res_chn,
        }
    }

    /// The head of one direction.
    #[must_use]
    pub fn message(&self, direction: Direction) -> &Message {
        match direction {
            Direction::Request => &self.req,
            Direction::Response => &self.res,
        }
    }

    /// The head of one direction, to change it.
    pub fn message_mut(&mut self, direction: Direction) -> &mut Message {
        match direction {
            Direction::Request => &mut self.req,
            Direction::Response => &mut self.res,
        }
    }
}
