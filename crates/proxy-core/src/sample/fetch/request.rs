//! The request line and the request's body.

use super::{Row, as_bin, int};
use crate::{
    http::Version,
    sample::{
        Needs, Sample, SampleRef, SampleType,
        args::{ArgKind::Str, Args},
        conv::hash,
        leading_int,
    },
    txn::TxnData,
};

pub(super) const ROWS: &[Row] = &[
    Row::text(&["method"], |t, _| some(t.req.method())).reads(SampleType::Method, as_method),
    Row::text(&["req.ver", "req_ver"], |t, _| t.req.is_request().then(|| version(t.req.version())))
        .needs(Needs::Nothing),
    Row::text(&["path"], |t, _| some(t.req.path())).needs(Needs::RequestHeaders),
    Row::text(&["pathq"], |t, _| some(path_and_query(t))).needs(Needs::RequestHeaders),
    Row::text(&["url"], |t, _| some(t.req.uri())).needs(Needs::RequestHeaders),
    Row::value(&["query"], SampleType::Str, |t, args, _| {
        let query = t.req.query()?;
        match args.str_at(0) {
            Some(_) if !query.is_empty() => Some(Sample::Str([b"?", query].concat())),
            _ => Some(Sample::Str(query.to_vec())),
        }
    })
    .args(0, &[Str])
    .check(|args| match args.as_slice().str_at(0) {
        None | Some("with_qm") => Ok(()),
        Some(other) => Err(format!("'{other}' is not a valid option, only 'with_qm' is supported")),
    })
    .needs(Needs::RequestHeaders),
    Row::value(&["base"], SampleType::Str, |t, _, _| base(t, t.req.path()).map(Sample::Str))
        .needs(Needs::RequestHeaders),
    Row::value(&["baseq"], SampleType::Str, |t, _, _| base(t, path_and_query(t)).map(Sample::Str))
        .needs(Needs::RequestHeaders),
    Row::value(&["base32"], SampleType::Int, |t, _, _| {
        base(t, t.req.path()).map(|b| Sample::Int(hash::avalanche(hash::sdbm(&b)).into()))
    })
    .needs(Needs::RequestHeaders),
    Row::value(&["url32"], SampleType::Int, |t, _, _| {
        base(t, t.req.uri()).map(|b| Sample::Int(hash::avalanche(hash::sdbm(&b)).into()))
    })
    .needs(Needs::RequestHeaders),
    Row::value(&["capture.req.method"], SampleType::Str, |t, _, _| {
        some(t.req.method()).map(|m| Sample::Str(m.to_vec()))
    }),
    Row::value(&["capture.req.uri"], SampleType::Str, |t, _, _| {
        some(path_and_query(t)).map(|m| Sample::Str(m.to_vec()))
    }),
    Row::text(&["capture.req.ver"], |t, _| t.req.is_request().then(|| t.req.version().as_str().as_bytes())),
    Row::text(&["req.body"], |t, _| t.req.is_request().then(|| t.req_chn.data()))
        .reads(SampleType::Bin, as_bin)
        .needs(Needs::RequestHeaders),
    Row::value(&["req.body_len"], SampleType::Int, |t, _, _| {
        t.req.is_request().then(|| int(t.req_chn.data().len())).flatten()
    })
    .needs(Needs::RequestHeaders),
    Row::value(&["req.body_size"], SampleType::Int, |t, _, _| {
        if !t.req.is_request() {
            return None;
        }
        let announced = t.req.header(b"content-length").and_then(leading_int);
        announced.map(Sample::Int).or_else(|| int(t.req_chn.data().len()))
    })
    .needs(Needs::RequestHeaders),
];

fn as_method(bytes: &[u8]) -> Option<SampleRef<'_>> {
    Some(SampleRef::Method(bytes))
}

fn some(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}

/// `major.minor`.
pub(super) fn version(version: Version) -> &'static [u8] {
    &version.as_str().as_bytes()[b"HTTP/".len()..]
}

/// The target from the first slash of the path on.
fn path_and_query(txn: &TxnData) -> &[u8] {
    let (uri, path) = (txn.req.uri(), txn.req.path());
    match path {
        [] => path,
        _ => &uri[path.as_ptr() as usize - uri.as_ptr() as usize..],
    }
}

/// The first `host` value and a part of the target.
fn base(txn: &TxnData, rest: &[u8]) -> Option<Vec<u8>> {
    if !txn.req.is_request() {
        return None;
    }
    let host = txn.req.header_values(b"host").next();
    match (host, rest) {
        (None, []) => None,
        (host, rest) => Some([host.unwrap_or_default(), rest].concat()),
    }
}
