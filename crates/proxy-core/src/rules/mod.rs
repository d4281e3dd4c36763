//! Rules: actions with conditions, evaluated in order.

pub mod acl;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use acl::Cond;

use crate::{
    action::{Action, ActionMaker, Verdict},
    config::Place,
    txn::Txn,
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

/// One rule.
pub struct Rule {
    /// What it does.
    pub action: RuleAction,
    /// `if`/`unless`.
    pub cond: Option<Cond>,
    /// Where it stands.
    pub place: Place,
}

/// What a rule does. Built-in actions get variants of their own here.
pub enum RuleAction {
    /// An action from outside.
    Custom(Arc<dyn ActionMaker>),
}

/// The evaluation of one rule set on one transaction, able to wait in the middle.
#[derive(Default)]
pub struct RuleRun {
    next: usize,
    running: Option<Box<dyn Action>>,
}

impl RuleRun {
    /// Evaluates on from where it stopped, until an end or a wait.
    pub fn poll(
        &mut self,
        rules: &[Rule],
        at: RuleSet,
        txn: Txn,
        cx: &mut Context<'_>,
    ) -> (Txn, Poll<Verdict>) {
        let _ = (rules, at, cx, &mut self.next, &mut self.running);
        (txn, Poll::Ready(Verdict::Continue))
    }
}

/// TEMP
pub fn parse_rule(
    _: RuleSet,
    _: &[&str],
    _: &mut crate::registry::ParseContext<'_>,
) -> Result<Rule, crate::cfgparse::ParseError> {
    Err(crate::cfgparse::ParseError::new("no rules yet"))
}
