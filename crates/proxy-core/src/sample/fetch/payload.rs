//! Raw bytes of the buffers, for content inspection in TCP mode.
//!
//! What is not there yet may still come: such a fetch notes it in
//! [`Sampling::may_change`](crate::sample::Sampling) until the channel is settled.

use super::{Row, int};
use crate::{
    sample::{
        Arg, Needs, Sample, SampleType,
        args::{
            ArgKind::{Int, Str},
            Args,
        },
    },
    txn::{Direction, Txn, TxnData},
};

pub(super) const ROWS: &[Row] = &[
    Row::value(&["req.len", "req_len"], SampleType::Int, |t, _, _| len(t, Direction::Request))
        .needs(Needs::RequestBuffer),
    Row::value(&["res.len"], SampleType::Int, |t, _, _| len(t, Direction::Response))
        .needs(Needs::ResponseBuffer),
    Row::value(&["req.payload"], SampleType::Bin, |t, args, _| block(t, Direction::Request, args))
        .args(2, &[Int, Int])
        .needs(Needs::RequestBuffer),
    Row::value(&["res.payload"], SampleType::Bin, |t, args, _| block(t, Direction::Response, args))
        .args(2, &[Int, Int])
        .needs(Needs::ResponseBuffer),
    Row::value(&["payload"], SampleType::Bin, |t, args, side| block(t, side, args)).args(2, &[Int, Int]),
    Row::value(&["req.payload_lv"], SampleType::Bin, |t, args, _| sized(t, Direction::Request, args))
        .args(2, &[Int, Int, Str])
        .check(check_sized)
        .needs(Needs::RequestBuffer),
    Row::value(&["res.payload_lv"], SampleType::Bin, |t, args, _| sized(t, Direction::Response, args))
        .args(2, &[Int, Int, Str])
        .check(check_sized)
        .needs(Needs::ResponseBuffer),
    Row::value(&["payload_lv"], SampleType::Bin, |t, args, side| sized(t, side, args))
        .args(2, &[Int, Int, Str])
        .check(check_sized),
    Row::value(&["req.proto_http", "req_proto_http"], SampleType::Bool, |t, _, _| proto_http(t))
        .needs(Needs::RequestBuffer),
    Row::value(&["wait_end"], SampleType::Bool, |t, _, side| {
        (!t.note_may_change(side)).then_some(Sample::Bool(true))
    }),
];

impl TxnData {
    /// Notes that more data could change what was seen; `true` if it can.
    fn note_may_change(&mut self, direction: Direction) -> bool {
        let open = self.sampling.may_wait && !self.channel(direction).settled();
        self.sampling.may_change |= open;
        open
    }
}

/// Raw contents are looked at in TCP mode only: HTTP keeps messages, not buffers.
fn raw(txn: &Txn, direction: Direction) -> Option<&[u8]> {
    (!matches!(direction, Direction::Request) || !txn.req.is_request()).then(|| txn.channel(direction).data())
}

fn len(txn: &mut Txn, direction: Direction) -> Option<Sample> {
    txn.note_may_change(direction);
    int(txn.channel(direction).data().len())
}

fn block(txn: &mut Txn, direction: Direction, args: &[Arg]) -> Option<Sample> {
    let from = usize::try_from(args.int_at(0)?).ok()?;
    let len = usize::try_from(args.int_at(1)?).ok()?;
    let data = raw(txn, direction)?;
    let found = match len {
        0 => data.get(from..).filter(|d| !d.is_empty()),
        len => data.get(from..from.checked_add(len)?),
    };
    let found = found.map(|bytes| Sample::Bin(bytes.to_vec()));
    // A block of fixed size is final once it is there; "the rest" never is.
    if found.is_none() || len == 0 {
        txn.note_may_change(direction);
    }
    found
}

fn check_sized(args: &mut Vec<Arg>) -> Result<(), String> {
    let length = args.as_slice().int_at(1).unwrap_or_default();
    if !(1..=8).contains(&length) {
        return Err("length of 1 to 8 bytes expected".to_owned());
    }
    match args.as_slice().str_at(2) {
        Some(offset) if offset.parse::<i64>().is_err() => {
            Err("payload offset2 should be a number".to_owned())
        }
        _ => Ok(()),
    }
}

/// A block behind its big-endian length.
fn sized(txn: &mut Txn, direction: Direction, args: &[Arg]) -> Option<Sample> {
    let at = usize::try_from(args.int_at(0)?).ok()?;
    let width = usize::try_from(args.int_at(1)?).ok()?;
    let data = raw(txn, direction)?;
    let found = sized_bounds(data, at, width, args.str_at(2))
        .and_then(|(from, len)| data.get(from..from.checked_add(len)?))
        .map(|bytes| Sample::Bin(bytes.to_vec()));
    if found.is_none() {
        txn.note_may_change(direction);
    }
    found
}

fn sized_bounds(data: &[u8], at: usize, width: usize, offset: Option<&str>) -> Option<(usize, usize)> {
    let header = data.get(at..at.checked_add(width)?)?;
    let len = header.iter().fold(0_u64, |len, byte| len << 8 | u64::from(*byte));
    let behind = at + width;
    let from = match offset {
        None => behind,
        Some(text) if text.starts_with(['+', '-']) => behind.checked_add_signed(text.parse().ok()?)?,
        Some(text) => text.parse().ok()?,
    };
    Some((from, usize::try_from(len).ok()?))
}

fn proto_http(txn: &mut Txn) -> Option<Sample> {
    if txn.req.is_request() {
        return Some(Sample::Bool(true));
    }
    match looks_like_http(txn.req_chn.data()) {
        Some(is_http) => Some(Sample::Bool(is_http)),
        None if txn.note_may_change(Direction::Request) => None,
        None => Some(Sample::Bool(false)),
    }
}

/// Whether bytes begin with a whole HTTP/1 request head; `None` while that is open.
fn looks_like_http(data: &[u8]) -> Option<bool> {
    let mut headers = [httparse::EMPTY_HEADER; 101];
    match httparse::Request::new(&mut headers).parse(data) {
        Ok(httparse::Status::Complete(_)) => Some(true),
        Ok(httparse::Status::Partial) => None,
        Err(_) => Some(false),
    }
}
