//! The class TXN and HTTP: proxy-core's transaction in a box with its direction.
//!
//! The box is kept by the worker and used again for the next run, so lending costs two moves of a
//! pointer.

use std::{
    any::Any,
    borrow::Cow,
    task::{Context, Poll},
};

use hlua::host::{self, HostResult, Level, RequestPart, SampleId, Side, StartLine, Value};
use proxy_core::{
    action::Verdict,
    applet::Reply,
    log::LevelOverride,
    txn::{Direction, Txn},
    vars::{Scope, VarKey},
};

use super::{
    catalog::{refused, run_converter, run_fetch},
    stream::stream_methods,
};
use crate::adapters::{Extension, level_from_lua, values};

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
                ..Reply::default()
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

    fn set_loglevel(&mut self, level: Option<Level>) -> HostResult<()> {
        self.txn.log.level =
            Some(level.map_or(LevelOverride::Silent, |level| LevelOverride::Level(level_from_lua(level))));
        Ok(())
    }

    fn set_tos(&mut self, tos: u8) -> HostResult<()> {
        self.txn.marks.get_or_insert_default().tos = Some(tos);
        Ok(())
    }

    fn set_mark(&mut self, mark: u32) -> HostResult<()> {
        self.txn.marks.get_or_insert_default().mark = Some(mark);
        Ok(())
    }

    fn set_priority_class(&mut self, class: i32) -> HostResult<()> {
        self.txn.priority.set_class(class.into());
        Ok(())
    }

    fn set_priority_offset(&mut self, offset: i32) -> HostResult<()> {
        self.txn.priority.set_offset(offset.into());
        Ok(())
    }
}

/// What stands in the channel. The stream brings more while an action waits, and polls it then.
impl host::Channel for LuaTxn {
    fn is_http(&self) -> bool {
        !self.txn.req.is_empty()
    }

    fn input_len(&self) -> usize {
        self.head_len() + self.input().len()
    }

    fn output_len(&self) -> usize {
        self.txn.channel(self.channel).forwarded()
    }

    fn may_recv(&self) -> bool {
        !self.txn.channel(self.channel).ended()
    }

    fn is_full(&self) -> bool {
        host::Channel::room(self) == 0
    }

    fn room(&self) -> usize {
        let used = self.head_len() + self.txn.channel(self.channel).occupied();
        self.txn.worker.buffers.size().saturating_sub(used)
    }

    fn input(&self) -> &[u8] {
        self.txn.channel(self.channel).data()
    }

    fn splice(&mut self, range: std::ops::Range<usize>, with: &[u8]) -> HostResult<bool> {
        let length = self.input().len();
        let range = range.start.min(length)..range.end.min(length);
        if with.len() > range.len() && with.len() - range.len() > host::Channel::room(self) {
            return Ok(false);
        }
        self.txn.channel_mut(self.channel).replace(range, with);
        Ok(true)
    }

    fn forward(&mut self, len: usize) -> HostResult<usize> {
        Ok(self.txn.channel_mut(self.channel).forward(len))
    }

    fn set_ended(&mut self, ended: bool) -> HostResult<()> {
        self.txn.channel_mut(self.channel).set_ended(ended);
        Ok(())
    }

    fn poll_change(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        // The stream wakes itself when bytes come or go.
        Poll::Pending
    }
}

impl LuaTxn {
    /// Bytes of the head that count as input: those of a head that has not gone yet.
    fn head_len(&self) -> usize {
        let head = self.txn.message(self.channel);
        if head.is_empty() || self.txn.channel(self.channel).head_gone() { 0 } else { head.wire_len() }
    }
}

/// The same direction in the other crate's words.
#[must_use]
pub fn side_of(direction: Direction) -> Side {
    match direction {
        Direction::Request => Side::Request,
        Direction::Response => Side::Response,
    }
}

fn direction(side: Side) -> Direction {
    match side {
        Side::Request => Direction::Request,
        Side::Response => Direction::Response,
    }
}

impl host::Http for LuaTxn {
    fn side(&self) -> Option<Side> {
        Some(side_of(self.direction))
    }

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

    fn start_line(&mut self, side: Side) -> HostResult<Option<StartLine>> {
        let message = self.txn.message(direction(side));
        let version = message.version().as_str().as_bytes().to_vec();
        Ok(if message.is_request() {
            let (first, second) = (message.method().to_vec(), message.uri().to_vec());
            Some(StartLine { first, second, third: version })
        } else if message.is_response() {
            let (second, third) = (message.status().to_string().into_bytes(), message.reason().to_vec());
            Some(StartLine { first: version, second, third })
        } else {
            None
        })
    }

    fn head_gone(&mut self, side: Side) -> bool {
        self.txn.channel(direction(side)).head_gone()
    }

    fn set_body_len(&mut self, side: Side, length: Option<u64>) -> HostResult<bool> {
        let message = self.txn.message_mut(direction(side));
        message.del_header(b"content-length");
        message.del_header(b"transfer-encoding");
        let set = match length {
            Some(length) => message.add_header(b"content-length", length.to_string().as_bytes()),
            None => message.add_header(b"transfer-encoding", b"chunked"),
        };
        Ok(set.is_ok())
    }
}
