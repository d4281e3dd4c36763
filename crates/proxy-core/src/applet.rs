//! Applets: services that answer instead of a server (`use-service`), and ready-made answers.
//!
//! A service is polled with an [`AppletIo`], moved in and out like a transaction. The stream feeds
//! `input` from the client and drains `output` to it; a service that finds `input` empty or
//! `output` full returns pending and is polled again when that has changed.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    http::{InvalidText, Version},
    txn::Txn,
    worker::Worker,
};

/// A whole answer made without a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// Reason phrase; `None` for the usual one.
    pub reason: Option<Vec<u8>>,
    /// Header lines in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body; its `content-length` is added on the way out unless `headers` has one.
    pub body: Vec<u8>,
    /// Close the client connection after it.
    pub close: bool,
    /// Who frames it.
    pub form: Form,
}

/// Who frames a [`Reply`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The stream does: its version, and the length of the body.
    #[default]
    Made,
    /// It stands in an error file, and goes out as it stands there: without `content-length` the body ends with the
    /// connection.
    File {
        /// The version of its status line.
        version: Version,
        /// The status that the log tells and that counters know, whatever the file says.
        logged: u16,
    },
    /// Nothing is sent (an empty error file): the connection closes, and the log tells the status.
    Silent,
}

/// What a service works on.
pub struct AppletIo {
    /// The transaction; in HTTP mode `txn.req` is the request head.
    pub txn: Txn,
    /// Decoded request body (HTTP) or raw bytes (TCP) that have come and were not consumed.
    /// The service removes what it used from the front ([`AppletIo::consume`]).
    pub input: Vec<u8>,
    /// No more input will come.
    pub input_ended: bool,
    /// The head of the answer stands in `txn.res`: set once by an HTTP service, before any output.
    pub started: bool,
    /// Bytes to send: body (HTTP, framed by the stream) or raw (TCP). Full at [`AppletIo::output_limit`].
    pub output: Vec<u8>,
    /// How much `output` may hold before the service should wait.
    pub output_limit: usize,
    /// The client can take no more: it is gone.
    pub client_gone: bool,
}

impl AppletIo {
    /// Starts the answer with a ready-made head; the body is not looked at.
    ///
    /// # Errors
    /// A part of the head may not stand where it was to be put.
    pub fn start(&mut self, head: &Reply) -> Result<(), InvalidText> {
        self.txn.res.set_reply(head)?;
        if head.close {
            self.txn.res.add_header(b"connection", b"close")?;
        }
        self.started = true;
        Ok(())
    }

    /// Removes `n` bytes from the front of the input.
    pub fn consume(&mut self, n: usize) {
        self.input.drain(..n.min(self.input.len()));
    }
    /// How many bytes `output` takes before it is full.
    #[must_use]
    pub fn room(&self) -> usize {
        self.output_limit.saturating_sub(self.output.len())
    }
}

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It answered all it wanted to.
    Done,
    /// It failed: 500 if nothing was sent, else a closed connection.
    Failed,
}

/// One run of a service.
pub trait Service {
    /// Goes on with the work; the io comes back in either case.
    fn poll(&mut self, io: AppletIo, cx: &mut Context<'_>) -> (AppletIo, Poll<Ended>);
}

/// A configured service, shared by all threads.
pub trait ServiceMaker: Send + Sync {
    /// The service's name, as `use-service` spells it.
    fn name(&self) -> &str;
    /// Whether it serves HTTP exchanges (else TCP connections).
    fn is_http(&self) -> bool;
    /// Starts one run on this thread.
    fn start(self: Arc<Self>, worker: &Worker) -> Box<dyn Service>;
}

const _: Option<&dyn Service> = None;
const _: Option<&dyn ServiceMaker> = None;
