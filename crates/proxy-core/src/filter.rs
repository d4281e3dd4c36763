//! Filters: what a proxy's `filter` lines attach to each stream.
//!
//! A filter is asked at fixed points of an exchange and may take its time; it gets the transaction
//! by move and gives it back, as an action does. Between the points it may have the payload of either
//! direction pass through it, piece by piece:
//!
//! ```text
//!   server ──► [ bytes in the channel                                ] ──► client
//!                └ passed by all ┘└ passed by the first ┘└ new ┘
//!                     goes on        the second's part     the first's part
//! ```
//!
//! What a filter holds back stays in the channel, and no later filter sees it. A stream without such
//! filters moves its payload without this detour.
//!
//! Source: HAProxy's `doc/internals/api/filters.txt`, whose callbacks the points stand for.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    cfgparse::ParseError,
    registry::ParseContext,
    txn::{Direction, Txn},
    worker::Worker,
};

/// The points of an exchange at which filters are asked, in the order they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// First analysis of a new stream.
    ClientSession,
    /// The analysis of this direction begins: of the request for a frontend's filters with the stream and
    /// for a backend's when it was chosen; of the response once there is a server or a service.
    Start(Direction),
    /// Before `tcp-request content` of the frontend.
    FrontendTcpRequest,
    /// Before `http-request` rules of the frontend.
    FrontendHttpRequest,
    /// Before `tcp-request content` of the backend.
    BackendTcpRequest,
    /// Before `http-request` rules of the backend.
    BackendHttpRequest,
    /// The server connection is established.
    ServerSession,
    /// Before `tcp-response content`.
    TcpResponse,
    /// Before `http-response` rules.
    HttpResponse,
    /// A message's head has gone through all rules and goes out next. HTTP only.
    Head(Direction),
    /// All payload of a message has passed. Only where payload was filtered; HTTP only.
    End(Direction),
    /// The exchange is over, however it ended. Only for a direction that began; nothing can be refused or
    /// waited for any more.
    Over(Direction),
}

impl Point {
    /// Its own bit: a filter can keep the set of the points it wants in a word.
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << match self {
            Point::ClientSession => 0,
            Point::FrontendTcpRequest => 1,
            Point::FrontendHttpRequest => 2,
            Point::BackendTcpRequest => 3,
            Point::BackendHttpRequest => 4,
            Point::ServerSession => 5,
            Point::TcpResponse => 6,
            Point::HttpResponse => 7,
            Point::Start(direction) => 8 + direction as u32,
            Point::Head(direction) => 10 + direction as u32,
            Point::End(direction) => 12 + direction as u32,
            Point::Over(direction) => 14 + direction as u32,
        }
    }
}

/// What a filter makes of an exchange at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Passed,
    /// It is refused with this HTTP status; in TCP mode the connection is closed.
    Refused(u16),
    /// The filter cannot go on: 400 while the request is processed, the end of the connection afterwards.
    Failed,
}

/// What a filter makes of the payload it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// So many bytes from the front of what it was shown may go on, as the filter left them. The rest comes
    /// again with what follows it, and whenever the stream is woken.
    Pass(usize),
    /// The filter cannot go on.
    Failed,
}

/// One filter on one stream.
pub trait Filter {
    /// Whether it has anything to do at that point; asked before the transaction is moved.
    fn wants(&self, point: Point) -> bool;
    /// Works at that point until ready; called again with the same point while pending.
    ///
    /// [`Outcome::Refused`] and [`Outcome::Failed`] end the exchange.
    fn poll(&mut self, point: Point, txn: Txn, cx: &mut Context<'_>) -> (Txn, Poll<Outcome>);
    /// Whether payload of that direction passes through it. Asked when the payload begins and before each
    /// [`Filter::payload`]: it may stop at any time, and start until then.
    fn filters_payload(&self, direction: Direction) -> bool {
        let _ = direction;
        false
    }
    /// Looks at payload, which it may change. Its part of the direction's channel is what
    /// [`Channel::data`](crate::channel::Channel::data) gives while this runs.
    ///
    /// Called at least once a message, then whenever more has come, when the end has come, and when the
    /// stream was woken while something is held back. To be woken by something else, keep `cx`'s waker.
    fn payload(&mut self, direction: Direction, txn: Txn, cx: &mut Context<'_>) -> (Txn, Passage) {
        let _ = cx;
        let all = txn.channel(direction).data().len();
        (txn, Passage::Pass(all))
    }
}

/// A configured filter, shared by all threads.
pub trait FilterMaker: Send + Sync {
    /// Attaches it to a new stream.
    fn attach(&self, worker: &Worker) -> Box<dyn Filter>;
}

/// A filter's keyword, the first word after `filter`.
pub trait FilterKeyword: Send + Sync {
    /// Parses the words after the keyword.
    ///
    /// # Errors
    /// The line is refused with that text.
    fn parse(&self, args: &[&str], cx: &mut ParseContext<'_>) -> Result<Arc<dyn FilterMaker>, ParseError>;
}

const _: Option<&dyn Filter> = None;
const _: Option<&dyn FilterMaker> = None;
