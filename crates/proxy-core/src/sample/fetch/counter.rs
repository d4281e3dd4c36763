//! How busy proxies and servers are.
//!
//! A proxy or server that the argument does not name is the one at hand. A name that the
//! configuration does not have gives no sample.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Row, int};
use crate::{
    backend::server::Server,
    config::Proxy,
    sample::{
        Arg, Sample, SampleType,
        args::{ArgKind::Str, Args},
    },
    txn::TxnData,
};

pub(super) const ROWS: &[Row] = &[
    Row::value(&["nbsrv"], SampleType::Int, |t, a, _| int(usable(backend(t, a)?).count())).args(0, &[Str]),
    Row::value(&["queue"], SampleType::Int, |t, a, _| int(backend(t, a)?.state.waiting())).args(0, &[Str]),
    Row::value(&["avg_queue"], SampleType::Int, |t, a, _| {
        let backend = backend(t, a)?;
        let (waiting, servers) = (backend.state.waiting(), usable(backend).count());
        int(if servers == 0 { waiting } else { waiting.div_ceil(servers) })
    })
    .args(0, &[Str]),
    Row::value(&["be_conn"], SampleType::Int, |t, a, _| int(backend(t, a)?.state.be_sessions.cur()))
        .args(0, &[Str]),
    Row::value(&["be_conn_free"], SampleType::Int, |t, a, _| {
        sum_or_unlimited(usable(backend(t, a)?).map(|s| free(s.maxconn(), s.sessions.cur())))
    })
    .args(0, &[Str]),
    Row::value(&["connslots"], SampleType::Int, |t, a, _| {
        sum_or_unlimited(usable(backend(t, a)?).map(|s| {
            let slots = free(s.maxconn(), s.sessions.cur())?;
            Some(slots + free(s.config.maxqueue, s.queued.cur())?)
        }))
    })
    .args(0, &[Str]),
    Row::value(&["fe_conn"], SampleType::Int, |t, a, _| int(frontend(t, a)?.state.fe_connections.cur()))
        .args(0, &[Str]),
    Row::value(&["dst_conn"], SampleType::Int, |t, _, _| int(t.frontend.state.fe_connections.cur())),
    Row::value(&["act_conn"], SampleType::Int, |t, _, _| int(active(t))),
    Row::value(&["srv_conn"], SampleType::Int, |t, a, _| int(server(t, a)?.sessions.cur())).args(1, &[Str]),
    Row::value(&["srv_conn_free"], SampleType::Int, |t, a, _| {
        let server = server(t, a)?;
        sum_or_unlimited([free(server.maxconn(), server.sessions.cur())].into_iter())
    })
    .args(1, &[Str]),
    Row::value(&["srv_queue"], SampleType::Int, |t, a, _| int(server(t, a)?.queued.cur())).args(1, &[Str]),
    Row::value(&["srv_is_up"], SampleType::Bool, |t, a, _| Some(Sample::Bool(server(t, a)?.is_usable())))
        .args(1, &[Str]),
    Row::value(&["srv_weight"], SampleType::Int, |t, a, _| int(server(t, a)?.effective_weight()))
        .args(1, &[Str]),
    Row::value(&["srv_iweight"], SampleType::Int, |t, a, _| int(server(t, a)?.initial_weight()))
        .args(1, &[Str]),
    Row::value(&["fe_req_cnt"], SampleType::Int, |t, a, _| {
        int(frontend(t, a)?.state.fe.requests.load(Relaxed))
    })
    .args(0, &[Str]),
];

/// Connections of all frontends.
pub(crate) fn active(txn: &TxnData) -> usize {
    txn.worker.shared.config.frontends.values().map(|proxy| proxy.state.fe_connections.cur()).sum()
}

/// The servers that can be chosen.
pub(crate) fn usable(proxy: &Proxy) -> impl Iterator<Item = &Arc<Server>> {
    proxy.servers.iter().filter(|server| server.is_usable())
}

/// The server of that name: `backend/server`, or `server` of the backend at hand.
pub(crate) fn server_by_name<'a>(txn: &'a TxnData, name: &str) -> Option<&'a Arc<Server>> {
    let (backend, name) = match name.split_once('/') {
        Some((backend, name)) => (txn.worker.shared.config.backends.get(backend)?, name),
        None => (&txn.backend, name),
    };
    backend.servers.iter().find(|server| server.name() == name)
}

fn server<'a>(txn: &'a TxnData, args: &[Arg]) -> Option<&'a Arc<Server>> {
    server_by_name(txn, args.str_at(0)?)
}

fn backend<'a>(txn: &'a TxnData, args: &[Arg]) -> Option<&'a Proxy> {
    match args.str_at(0) {
        Some(name) => txn.worker.shared.config.backends.get(name).map(Arc::as_ref),
        None => Some(&txn.backend),
    }
}

fn frontend<'a>(txn: &'a TxnData, args: &[Arg]) -> Option<&'a Proxy> {
    match args.str_at(0) {
        Some(name) => txn.worker.shared.config.frontends.get(name).map(Arc::as_ref),
        None => Some(&txn.frontend),
    }
}

/// What is left of a limit; `None` without one.
fn free(limit: usize, taken: usize) -> Option<usize> {
    (limit > 0).then(|| limit.saturating_sub(taken))
}

/// The sum, or -1 if one of them has no limit.
fn sum_or_unlimited(parts: impl Iterator<Item = Option<usize>>) -> Option<Sample> {
    let total = parts.sum::<Option<usize>>();
    Some(Sample::Int(total.and_then(|t| i64::try_from(t).ok()).unwrap_or(-1)))
}
