//! Actions from outside: what a rule runs that is not built in.
//!
//! An action takes the transaction, works, and gives it back. While it waits it keeps it: nothing
//! else can touch the transaction meanwhile.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    applet::Reply, cfgparse::ParseError, registry::ParseContext, rules::RuleSet, txn::Txn, worker::Worker,
};

/// How processing goes on after a rule.
#[derive(Debug)]
pub enum Verdict {
    /// On to the next rule.
    Continue,
    /// No further rule of this set (`allow`, `accept`).
    Stop,
    /// End the exchange with this answer (`return`, `redirect`).
    Reply(Box<Reply>),
    /// Refuse the exchange with this answer (`deny`); it is counted and logged as refused.
    Deny(Box<Reply>),
    /// The same after the client was kept waiting (`tarpit`).
    Tarpit(Box<Reply>),
    /// Close without an answer (`reject`).
    Close,
    /// Forget the connection without telling the client (`silent-drop`).
    Drop,
    /// Not enough data yet: evaluate this rule again when more has come (`inspect-delay`).
    WaitData,
    /// Internal failure: 500 to the client.
    Fail,
}

/// One run of an action. Dropped when the stream ends before it is done.
pub trait Action {
    /// Goes on with the work.
    ///
    /// The transaction comes back with [`Poll::Ready`] always; with [`Poll::Pending`] it comes
    /// back too and is handed in again at the next call.
    fn poll(&mut self, txn: Txn, cx: &mut Context<'_>) -> (Txn, Poll<Verdict>);
}

/// A configured action, shared by all threads; starts a run for each evaluation.
pub trait ActionMaker: Send + Sync {
    /// Starts one run on this thread.
    fn start(&self, worker: &Worker, at: RuleSet) -> Box<dyn Action>;
}

/// An action's keyword as rules spell it.
pub trait ActionKeyword: Send + Sync {
    /// Whether rules of this set may use it.
    fn allowed_in(&self, at: RuleSet) -> bool;
    /// Parses what follows the keyword, up to `if`/`unless` or the end of the line.
    ///
    /// # Errors
    /// The line is refused with that text.
    fn parse(
        &self,
        args: &[&str],
        cx: &mut ParseContext<'_>,
        at: RuleSet,
    ) -> Result<Arc<dyn ActionMaker>, ParseError>;
}

const _: Option<&dyn Action> = None;
const _: Option<&dyn ActionMaker> = None;
const _: Option<&dyn ActionKeyword> = None;
