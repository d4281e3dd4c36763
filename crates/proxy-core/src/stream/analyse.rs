//! The analysers of an exchange: rule sets, the choice of a backend.
//!
//! Each waits with the transaction lent out and in again between polls, while the client is
//! watched for leaving.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Conn,
    fault::{Fault, Letters},
};
use crate::{
    action::Verdict,
    backend::counters::bump,
    config::{Proxy, RuleSets},
    rules::{Rule, RuleRun, RuleSet},
    txn::Direction,
};

/// Goes on waiting unless the client left.
pub(crate) fn waiting<T>(conn: &mut Conn, phase: u8, cx: &mut Context<'_>) -> Poll<Result<T, Fault>> {
    let aborts = phase == b'R' && conn.aborts_on_close();
    match conn.watch_client(aborts, phase, cx) {
        Ok(()) => Poll::Pending,
        Err(fault) => Poll::Ready(Err(fault)),
    }
}

/// How a rule set ended where the stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// To the next analyser.
    On,
    /// More data is wanted first; evaluate again.
    WaitData,
}

/// Evaluates a rule set once through; `run` keeps its place when it waits for data.
///
/// # Errors
/// A rule ended the exchange, or the client left.
pub(crate) async fn evaluate(
    conn: &mut Conn,
    proxy: &Arc<Proxy>,
    at: RuleSet,
    run: &mut RuleRun,
) -> Result<Passed, Fault> {
    evaluate_fed(conn, proxy, at, run, |_, _| Ok(false)).await
}

/// The same, and while a rule waits, `feed` takes what comes into the channel it looks at; it says
/// whether that changed anything.
///
/// # Errors
/// As [`evaluate`], or as `feed`.
pub(crate) async fn evaluate_fed(
    conn: &mut Conn,
    proxy: &Arc<Proxy>,
    at: RuleSet,
    run: &mut RuleRun,
    mut feed: impl FnMut(&mut Conn, &mut Context<'_>) -> Result<bool, Fault>,
) -> Result<Passed, Fault> {
    let rules = rules_of(&proxy.rules, at);
    let (letters, phase) = letters_of(at);
    let verdict = poll_fn(|cx| {
        loop {
            let (txn, done) = run.poll(rules, at, conn.txn.take(), cx);
            conn.txn = txn;
            conn.mark_client();
            if let Poll::Ready(verdict) = done {
                return Poll::Ready(Ok(verdict));
            }
            let waiting = waiting(conn, phase, cx);
            if waiting.is_ready() || !feed(conn, cx)? {
                return waiting;
            }
        }
    })
    .await?;
    match verdict {
        Verdict::Continue | Verdict::Stop => Ok(Passed::On),
        Verdict::WaitData => Ok(Passed::WaitData),
        Verdict::Reply(reply) => {
            bump(&conn.session.frontend.state.fe.intercepted);
            Err(Fault::Reply(reply, [b'L', letters[1]]))
        }
        Verdict::Deny(reply) => {
            count_denied(proxy, at);
            Err(Fault::Reply(reply, letters))
        }
        Verdict::Tarpit(reply) => {
            count_denied(proxy, at);
            Err(Fault::Reply(reply, *b"PT"))
        }
        Verdict::Close => {
            count_denied(proxy, at);
            if at == RuleSet::TcpConnection {
                conn.client.io.reset_on_drop();
            }
            Err(Fault::Close(letters))
        }
        Verdict::Drop => {
            count_denied(proxy, at);
            conn.client.io.vanish_on_drop();
            Err(Fault::Close(letters))
        }
        Verdict::Fail => {
            bump(&proxy.state.fe.internal_errors);
            Err(Fault::Status(500, letters))
        }
    }
}

/// Evaluates a rule set where all the data that will be there is there.
///
/// # Errors
/// As [`evaluate`].
pub(crate) async fn evaluate_all(conn: &mut Conn, proxy: &Arc<Proxy>, at: RuleSet) -> Result<(), Fault> {
    if has_rules(proxy, at) {
        conn.txn.res_chn.settled = true;
        let mut run = RuleRun::default();
        // A rule that wants data all the same ends its set.
        Box::pin(evaluate(conn, proxy, at, &mut run)).await?;
    }
    Ok(())
}

/// Whether a proxy has rules of that set.
pub(crate) fn has_rules(proxy: &Proxy, at: RuleSet) -> bool {
    !rules_of(&proxy.rules, at).is_empty()
}

/// The backend that `use_backend` and `default_backend` choose.
///
/// # Errors
/// There is none: 503.
pub(crate) fn choose_backend(conn: &mut Conn) -> Result<Arc<Proxy>, Fault> {
    let session = conn.session.clone();
    let frontend = &session.frontend;
    for line in frontend.use_backend.get().into_iter().flatten() {
        if line.cond.as_ref().is_some_and(|cond| !cond.holds(&mut conn.txn, Direction::Request)) {
            continue;
        }
        if let Some(backend) = &line.backend {
            return Ok(backend.clone());
        }
        let Some(name) = &line.name else { continue };
        let mut text = Vec::new();
        name.render(&mut conn.txn, Direction::Request, &mut text);
        let named = std::str::from_utf8(&text).ok().and_then(|n| conn.worker.shared.config.backends.get(n));
        // An unknown name falls through to the default, as HAProxy does.
        if let Some(backend) = named {
            return Ok(backend.clone());
        }
        break;
    }
    match frontend.default_backend.get() {
        Some(backend) => Ok(backend.clone()),
        None if frontend.capabilities.backend => Ok(frontend.clone()),
        None => Err(Fault::Status(503, *b"SC")),
    }
}

fn count_denied(proxy: &Arc<Proxy>, at: RuleSet) {
    let traffic = if proxy.capabilities.frontend { &proxy.state.fe } else { &proxy.state.be };
    bump(match at {
        RuleSet::TcpConnection => &traffic.denied_connections,
        RuleSet::TcpSession => &traffic.denied_sessions,
        RuleSet::TcpRequest | RuleSet::HttpRequest => &traffic.denied_requests,
        RuleSet::TcpResponse | RuleSet::HttpResponse | RuleSet::HttpAfterResponse => {
            &traffic.denied_responses
        }
    });
}

fn rules_of(sets: &RuleSets, at: RuleSet) -> &[Rule] {
    match at {
        RuleSet::TcpConnection => &sets.tcp_connection,
        RuleSet::TcpSession => &sets.tcp_session,
        RuleSet::TcpRequest => &sets.tcp_request,
        RuleSet::TcpResponse => &sets.tcp_response,
        RuleSet::HttpRequest => &sets.http_request,
        RuleSet::HttpResponse => &sets.http_response,
        RuleSet::HttpAfterResponse => &sets.http_after_response,
    }
}

fn letters_of(at: RuleSet) -> (Letters, u8) {
    match at {
        RuleSet::TcpConnection | RuleSet::TcpSession | RuleSet::TcpRequest | RuleSet::HttpRequest => {
            (*b"PR", b'R')
        }
        RuleSet::TcpResponse | RuleSet::HttpResponse | RuleSet::HttpAfterResponse => (*b"PH", b'H'),
    }
}
