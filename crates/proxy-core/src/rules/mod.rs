//! Rules: actions with conditions, evaluated in order.
//!
//! ```text
//!   parse_rule(words) ──► Rule { action, cond }           when the configuration is read
//!   RuleRun::poll(rules, txn) ──► (txn, Poll<Verdict>)    per exchange, resumable
//! ```
//!
//! Built-in actions work in place; only one from outside (or a tarpit) is boxed and may wait.
//! Source: configuration.txt 4.3, 4.4.

pub mod acl;
mod action;
mod counters;
mod parse;
pub mod pattern;
mod patterns;
mod redirect;
mod reply;
mod tarpit;

use std::task::{Context, Poll};

use acl::Cond;
pub use action::{RuleAction, replace_in_headers};
pub use counters::{CounterRule, TrackRule};
pub(crate) use parse::parse_http_error;
pub use parse::parse_rule;
pub use patterns::PatternRule;
pub use reply::{BodyTemplate, ReplyTemplate};

use crate::{
    action::{Action, Verdict},
    config::Place,
    txn::{Direction, Txn},
};

/// Which set a rule belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleSet {
    /// `tcp-request connection`.
    TcpConnection,
    /// `tcp-request session`.
    TcpSession,
    /// `tcp-request content`.
    TcpRequest,
    /// `tcp-response content`.
    TcpResponse,
    /// `http-request`.
    HttpRequest,
    /// `http-response`.
    HttpResponse,
    /// `http-after-response`.
    HttpAfterResponse,
}

impl RuleSet {
    /// The words that its lines begin with.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::TcpConnection => "tcp-request connection",
            Self::TcpSession => "tcp-request session",
            Self::TcpRequest => "tcp-request content",
            Self::TcpResponse => "tcp-response content",
            Self::HttpRequest => "http-request",
            Self::HttpResponse => "http-response",
            Self::HttpAfterResponse => "http-after-response",
        }
    }

    /// The side that its rules look at.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::TcpConnection | Self::TcpSession | Self::TcpRequest | Self::HttpRequest => {
                Direction::Request
            }
            Self::TcpResponse | Self::HttpResponse | Self::HttpAfterResponse => Direction::Response,
        }
    }

    /// Whether its rules work on HTTP messages.
    #[must_use]
    pub fn is_http(self) -> bool {
        matches!(self, Self::HttpRequest | Self::HttpResponse | Self::HttpAfterResponse)
    }

    /// Whether it is evaluated before there is an exchange.
    #[must_use]
    pub fn is_session_level(self) -> bool {
        matches!(self, Self::TcpConnection | Self::TcpSession)
    }

    /// Whether its rules wait for content.
    fn waits(self) -> bool {
        matches!(self, Self::TcpRequest | Self::TcpResponse)
    }
}

/// One rule.
pub struct Rule {
    /// What it does.
    pub action: RuleAction,
    /// `if`/`unless`.
    pub cond: Option<Cond>,
    /// Where it stands.
    pub place: Place,
}

/// The evaluation of one rule set on one transaction, able to wait in the middle.
#[derive(Default)]
pub struct RuleRun {
    next: usize,
    running: Option<Box<dyn Action>>,
}

impl RuleRun {
    /// Evaluates on from where it stopped, until an end or a wait.
    ///
    /// After [`Verdict::WaitData`] the same rule is asked again at the next call; after any other
    /// verdict but [`Verdict::Continue`] the set is through.
    ///
    /// # Yield and cancel safety
    /// Pending only while an action from outside is. Dropping the run drops that action.
    pub fn poll(
        &mut self,
        rules: &[Rule],
        at: RuleSet,
        mut txn: Txn,
        cx: &mut Context<'_>,
    ) -> (Txn, Poll<Verdict>) {
        txn.sampling.session_only = at.is_session_level();
        if at.direction() == Direction::Response {
            txn.begin_response_scope();
        }
        let (mut txn, done) = self.advance(rules, at, txn, cx);
        txn.sampling.session_only = false;
        (txn, done)
    }

    fn advance(
        &mut self,
        rules: &[Rule],
        at: RuleSet,
        mut txn: Txn,
        cx: &mut Context<'_>,
    ) -> (Txn, Poll<Verdict>) {
        while let Some(rule) = rules.get(self.next) {
            if self.running.is_none() {
                match applies(rule, at, &mut txn) {
                    Some(true) => {}
                    Some(false) => {
                        self.next += 1;
                        continue;
                    }
                    None => return (txn, Poll::Ready(Verdict::WaitData)),
                }
                match rule.action.apply(rule, at, &mut txn) {
                    action::Step::Done(Verdict::Continue) => {
                        self.next += 1;
                        continue;
                    }
                    action::Step::Done(verdict) => {
                        self.next = rules.len();
                        return (txn, Poll::Ready(verdict));
                    }
                    action::Step::Run(action) => self.running = Some(action),
                }
            }
            let Some(running) = &mut self.running else { continue };
            let (back, done) = running.poll(txn, cx);
            txn = back;
            match done {
                Poll::Pending => return (txn, Poll::Pending),
                Poll::Ready(verdict) => {
                    self.running = None;
                    match verdict {
                        Verdict::Continue => self.next += 1,
                        Verdict::WaitData => return (txn, Poll::Ready(Verdict::WaitData)),
                        last => {
                            self.next = rules.len();
                            return (txn, Poll::Ready(last));
                        }
                    }
                }
            }
        }
        (txn, Poll::Ready(Verdict::Continue))
    }
}

/// Whether a rule's condition holds; `None` while more data could tell.
fn applies(rule: &Rule, at: RuleSet, txn: &mut Txn) -> Option<bool> {
    let Some(cond) = &rule.cond else { return Some(true) };
    txn.sampling.may_wait = at.waits();
    let applies = cond.decide(txn, at.direction());
    txn.sampling.may_wait = false;
    applies
}
