//! Filters: what a proxy's `filter` lines attach to each stream.
//!
//! A filter is asked at fixed points of an exchange and may take its time; it gets the transaction
//! by move and gives it back, as an action does.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use crate::{cfgparse::ParseError, registry::ParseContext, txn::Txn, worker::Worker};

/// The points of an exchange at which filters are asked, in the order they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// First analysis of a new stream.
    ClientSession,
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
}

/// What a filter makes of an exchange at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Passed,
    /// It is refused with this HTTP status; in TCP mode the connection is closed.
    Refused(u16),
}

/// One filter on one stream.
pub trait Filter {
    /// Whether it has anything to do at that point; asked before the transaction is moved.
    fn wants(&self, point: Point) -> bool;
    /// Works at that point until ready; called again with the same point while pending.
    ///
    /// [`Outcome::Refused`] ends the exchange.
    fn poll(&mut self, point: Point, txn: Txn, cx: &mut Context<'_>) -> (Txn, Poll<Outcome>);
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
