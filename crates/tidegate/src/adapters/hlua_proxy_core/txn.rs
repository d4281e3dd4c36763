//! The class TXN and HTTP: proxy-core's transaction in a box with its direction.
//!
//! The box is kept by the worker and used again for the next run, so lending costs two moves of a
//! pointer.

use std::{any::Any, borrow::Cow};

use hlua::host::{self, HostResult, Level, RequestPart, SampleId, Side, Value};
use proxy_core::{
    action::Verdict,
    applet::Reply,
    txn::{Direction, Txn},
    vars::{Scope, VarKey},
};

use super::{
    catalog::{refused, run_converter, run_fetch},
    stream::stream_methods,
};
use crate::adapters::{Extension, values};

/// A transaction while a script has it.
pub struct LuaTxn {
    /// The transaction.
    pub txn: Txn,
    direction: Direction,
    /// The side whose channel the script asked for last.
    channel: Direction,
    done: Option<Option<host::Reply>>,
    scratch: Vec<u8>,
}

impl LuaTxn {
    /// Boxes a transaction for a script.
    #[must_use]
    pub fn lend(txn: Txn, direction: Direction) -> Box<dyn host::Txn> {
        match Extension::of(&txn.worker).spare_txn.take() {
            Some(mut spare) => {
                spare.txn = txn;
                spare.direction = direction;
                spare
            }
            None => Box::new(Self { txn, direction, channel: direction, done: None, scratch: Vec::new() }),
        }
    }

    /// The same box, after the script.
    #[must_use]
    pub fn back_whole(lent: Box<dyn host::Txn>) -> Box<Self> {
        let any: Box<dyn Any> = lent;
        any.downcast().expect("hlua hands back what it was lent")
    }

    /// The transaction, after the script; the box goes back to the worker.
    #[must_use]
    pub fn back(lent: Box<dyn host::Txn>) -> Txn {
        Self::back_whole(lent).keep()
    }

    /// Takes the transaction out and keeps the box for the next run.
    #[must_use]
    pub fn keep(mut self: Box<Self>) -> Txn {
        let txn = self.txn.take();
        self.done = None;
        let worker = txn.worker.clone();
        Extension::of(&worker).spare_txn.replace(Some(self));
        txn
    }

    /// How the exchange ends after `txn:done`.
    pub fn done_verdict(&mut self) -> Verdict {
        match self.done.take().flatten() {
            Some(reply) => Verdict::Reply(Box::new(Reply {
                status: reply.status,
                reason: reply.reason,
                headers: reply.headers,
                body: reply.body,
                close: false,
            })),
            None => Verdict::Close,
        }
    }
}

impl LuaTxn {
    fn parts(&mut self) -> (&mut Txn, Direction, &mut Vec<u8>) {
        (&mut self.txn, self.direction, &mut self.scratch)
    }
}

impl host::Stream for LuaTxn {
    stream_methods!();
}

impl host::Txn for LuaTxn {
    fn http(&mut self) -> Option<&mut dyn host::Http> {
        if self.txn.req.is_empty() { None } else { Some(self) }
    }

    fn channel(&mut self, side: Side) -> Option<&mut dyn host::Channel> {
        self.channel = direction(side);
        Some(self)
    }

    fn done(&mut self, reply: Option<host::Reply>) -> HostResult<()> {
        self.done = Some(reply);
        Ok(())
    }
}

/// What has come in when the rule runs. Nothing comes in while it waits, so it never waits for more.
impl host::Channel for LuaTxn {
    fn is_http(&self) -> bool {
        !self.txn.req.is_empty()
    }

    fn input_len(&self) -> usize {
        let head = self.txn.message(self.channel);
        let head = if head.is_empty() { 0 } else { head.wire_len() };
        head + self.input().len()
    }

    fn output_len(&self) -> usize {
        0
    }

    fn may_recv(&self) -> bool {
        false
    }

    fn is_full(&self) -> bool {
        self.input_len() >= self.txn.worker.buffers.size()
    }

    fn input(&self) -> &[u8] {
        match self.channel {
            Direction::Request => self.txn.req_chn.data(),
            Direction::Response => self.txn.res_chn.data(),
        }
    }

    fn splice(&mut self, range: std::ops::Range<usize>, with: &[u8]) -> HostResult<bool> {
        let length = self.input().len();
        let range = range.start.min(length)..range.end.min(length);
        if length - range.len() + with.len() > self.txn.worker.buffers.size() {
            return Ok(false);
        }
        let channel = match self.channel {
            Direction::Request => &mut self.txn.req_chn,
            Direction::Response => &mut self.txn.res_chn,
        };
        channel.replace(range, with);
        Ok(true)
    }
}

fn direction(side: Side) -> Direction {
    match side {
        Side::Request => Direction::Request,
        Side::Response => Direction::Response,
    }
}

impl host::Http for LuaTxn {
    fn headers(&mut self, side: Side, visit: &mut dyn FnMut(&[u8], &[u8])) -> HostResult<()> {
        for (name, value) in self.txn.message(direction(side)).headers() {
            visit(name, value);
        }
        Ok(())
    }

    fn add_header(&mut self, side: Side, name: &[u8], value: &[u8]) -> HostResult<()> {
        self.txn.message_mut(direction(side)).add_header(name, value).map_err(refused)
    }

    fn del_header(&mut self, side: Side, name: &[u8]) -> HostResult<()> {
        self.txn.message_mut(direction(side)).del_header(name);
        Ok(())
    }

    fn set_header(&mut self, side: Side, name: &[u8], value: &[u8]) -> HostResult<()> {
        self.txn.message_mut(direction(side)).set_header(name, value).map_err(refused)
    }

    fn replace_header(
        &mut self,
        side: Side,
        name: &[u8],
        regex: &str,
        replacement: &[u8],
        each_value: bool,
    ) -> HostResult<()> {
        let message = self.txn.message_mut(direction(side));
        proxy_core::rules::replace_in_headers(message, name, regex, replacement, each_value).map_err(refused)
    }

    fn set_request_part(&mut self, part: RequestPart, value: &[u8]) -> HostResult<bool> {
        let request = &mut self.txn.req;
        let done = match part {
            RequestPart::Method => request.set_method(value),
            RequestPart::Path => request.set_path(value),
            RequestPart::Query => request.set_query(value),
            RequestPart::Uri => request.set_uri(value),
        };
        Ok(done.is_ok())
    }

    fn set_status(&mut self, status: u16, reason: Option<&[u8]>) -> HostResult<bool> {
        Ok(self.txn.res.set_status(status, reason).is_ok())
    }
}
