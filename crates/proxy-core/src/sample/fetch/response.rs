//! The status line and the response's body.

use super::{Row, as_bin, int, request::version};
use crate::sample::{Needs, Sample, SampleType, leading_int};

pub(super) const ROWS: &[Row] = &[
    Row::value(&["status"], SampleType::Int, |t, _, _| {
        t.res.is_response().then(|| Sample::Int(t.res.status().into()))
    })
    .needs(Needs::Response),
    Row::value(&["txn.status"], SampleType::Int, |t, _, _| int(t.log.status)),
    Row::text(&["res.ver", "resp_ver", "resp.ver"], |t, _| {
        t.res.is_response().then(|| version(t.res.version()))
    })
    .needs(Needs::ResponseHeaders),
    Row::text(&["capture.res.ver"], |t, _| t.res.is_response().then(|| t.res.version().as_str().as_bytes())),
    Row::text(&["res.body"], |t, _| t.res.is_response().then(|| t.res_chn.data()))
        .reads(SampleType::Bin, as_bin)
        .needs(Needs::ResponseHeaders),
    Row::value(&["res.body_len"], SampleType::Int, |t, _, _| {
        t.res.is_response().then(|| int(t.res_chn.data().len())).flatten()
    })
    .needs(Needs::ResponseHeaders),
    Row::value(&["res.body_size"], SampleType::Int, |t, _, _| {
        if !t.res.is_response() {
            return None;
        }
        let announced = t.res.header(b"content-length").and_then(leading_int);
        announced.map(Sample::Int).or_else(|| int(t.res_chn.data().len()))
    })
    .needs(Needs::ResponseHeaders),
];
