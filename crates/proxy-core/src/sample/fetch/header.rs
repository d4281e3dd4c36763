//! Header fields: `req.hdr`, `req.fhdr` and their relatives of both directions.
//!
//! `hdr` sees comma-separated values, `fhdr` whole lines. A sample is the last one unless an
//! occurrence is named, from 1 forwards or from -1 backwards; ACLs look at all.

use super::{Row, Take, as_addr, as_int, as_str, int};
use crate::{
    http::Message,
    sample::{
        Arg, Needs, Sample, SampleType,
        args::{
            ArgKind::{self, Int, Str},
            ArgSpec, Args,
        },
    },
    txn::{Direction, TxnData},
};

const NAME_OCC: &[ArgKind] = &[Str, Int];

pub(super) const ROWS: &[Row] = &[
    request(&["req.hdr"]),
    request(&["req.hdr_ip"]).reads(SampleType::Addr, as_addr),
    request(&["req.hdr_val"]).reads(SampleType::Int, as_int),
    response(&["res.hdr", "shdr"]),
    response(&["res.hdr_ip", "shdr_ip"]).reads(SampleType::Addr, as_addr),
    response(&["res.hdr_val", "shdr_val"]).reads(SampleType::Int, as_int),
    sided(&["hdr"]),
    sided(&["hdr_ip"]).reads(SampleType::Addr, as_addr),
    sided(&["hdr_val"]).reads(SampleType::Int, as_int),
    Row::list(&["req.fhdr"], |t, args| line(&t.req, args), |t, args, test| each_line(&t.req, args, test))
        .args(0, NAME_OCC)
        .needs(Needs::RequestHeaders),
    Row::list(&["res.fhdr"], |t, args| line(&t.res, args), |t, args, test| each_line(&t.res, args, test))
        .args(0, NAME_OCC)
        .needs(Needs::ResponseHeaders),
    Row::value(&["req.hdr_cnt"], SampleType::Int, |t, args, _| int(count_values(&t.req, args)))
        .args(0, &[Str])
        .needs(Needs::RequestHeaders),
    Row::value(&["res.hdr_cnt", "shdr_cnt"], SampleType::Int, |t, args, _| int(count_values(&t.res, args)))
        .args(0, &[Str])
        .needs(Needs::ResponseHeaders),
    Row::value(&["hdr_cnt"], SampleType::Int, |t, args, side| int(count_values(t.message(side), args)))
        .args(0, &[Str]),
    Row::value(&["req.fhdr_cnt"], SampleType::Int, |t, args, _| int(count_lines(&t.req, args)))
        .args(0, &[Str])
        .needs(Needs::RequestHeaders),
    Row::value(&["res.fhdr_cnt"], SampleType::Int, |t, args, _| int(count_lines(&t.res, args)))
        .args(0, &[Str])
        .needs(Needs::ResponseHeaders),
    Row::value(&["req.hdr_names"], SampleType::Str, |t, args, _| names(&t.req, args))
        .args(0, &[Str])
        .needs(Needs::RequestHeaders),
    Row::value(&["res.hdr_names"], SampleType::Str, |t, args, _| names(&t.res, args))
        .args(0, &[Str])
        .needs(Needs::ResponseHeaders),
    Row::value(&["req.hdrs"], SampleType::Str, |t, _, side| block(t, Direction::Request, side))
        .needs(Needs::RequestHeaders),
    Row::value(&["res.hdrs"], SampleType::Str, |t, _, side| block(t, Direction::Response, side))
        .needs(Needs::ResponseHeaders),
    Row::value(&["req.hdrs_bin"], SampleType::Bin, |t, _, _| binary(&t.req)).needs(Needs::RequestHeaders),
    Row::value(&["res.hdrs_bin"], SampleType::Bin, |t, _, _| binary(&t.res)).needs(Needs::ResponseHeaders),
];

const fn request(names: &'static [&'static str]) -> Row {
    Row::list(names, |t, args| value(&t.req, args), |t, args, test| each_value(&t.req, args, test))
        .args(0, NAME_OCC)
        .needs(Needs::RequestHeaders)
}

const fn response(names: &'static [&'static str]) -> Row {
    Row::list(names, |t, args| value(&t.res, args), |t, args, test| each_value(&t.res, args, test))
        .args(0, NAME_OCC)
        .needs(Needs::ResponseHeaders)
}

const fn sided(names: &'static [&'static str]) -> Row {
    Row {
        names,
        output: SampleType::Str,
        needs: Needs::Nothing,
        args: ArgSpec { min: 0, kinds: NAME_OCC },
        check: None,
        take: Take::Sided {
            request: (|t, args| value(&t.req, args), |t, args, test| each_value(&t.req, args, test)),
            response: (|t, args| value(&t.res, args), |t, args, test| each_value(&t.res, args, test)),
            read: as_str,
        },
    }
}

fn name_of(args: &[Arg]) -> Option<&[u8]> {
    args.str_at(0).map(str::as_bytes)
}

/// The occurrence that the second argument names; the last without one.
fn pick<'a>(mut values: impl Iterator<Item = &'a [u8]> + Clone, args: &[Arg]) -> Option<&'a [u8]> {
    match args.int_at(1).unwrap_or(-1) {
        occ @ 1.. => values.nth(usize::try_from(occ - 1).ok()?),
        -1 => values.last(),
        0 => None,
        back => {
            let count = i64::try_from(values.clone().count()).ok()?;
            values.nth(usize::try_from(count.checked_add(back)?).ok()?)
        }
    }
}

fn value<'a>(message: &'a Message, args: &'a [Arg]) -> Option<&'a [u8]> {
    pick(message.header_values(name_of(args)?), args)
}

fn line<'a>(message: &'a Message, args: &'a [Arg]) -> Option<&'a [u8]> {
    pick(message.header_lines(name_of(args)?), args)
}

fn each_value(message: &Message, args: &[Arg], test: &mut dyn FnMut(&[u8]) -> bool) -> Option<bool> {
    match (name_of(args), args.int_at(1)) {
        (Some(_), Some(_)) => value(message, args).map(test),
        (Some(name), None) => any(message.header_values(name), test),
        (None, _) => any(message.headers().flat_map(|(_, line)| crate::http::text::split_values(line)), test),
    }
}

fn each_line(message: &Message, args: &[Arg], test: &mut dyn FnMut(&[u8]) -> bool) -> Option<bool> {
    match (name_of(args), args.int_at(1)) {
        (Some(_), Some(_)) => line(message, args).map(test),
        (Some(name), None) => any(message.header_lines(name), test),
        (None, _) => any(message.headers().map(|(_, line)| line), test),
    }
}

/// Whether the test holds for one of the values; `None` if there are none.
pub(super) fn any<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    test: &mut dyn FnMut(&[u8]) -> bool,
) -> Option<bool> {
    let mut seen = None;
    for value in values {
        if test(value) {
            return Some(true);
        }
        seen = Some(false);
    }
    seen
}

fn count_values(message: &Message, args: &[Arg]) -> usize {
    match name_of(args) {
        Some(name) => message.header_values(name).count(),
        None => message.headers().flat_map(|(_, line)| crate::http::text::split_values(line)).count(),
    }
}

fn count_lines(message: &Message, args: &[Arg]) -> usize {
    match name_of(args) {
        Some(name) => message.header_lines(name).count(),
        None => message.header_count(),
    }
}

fn names(message: &Message, args: &[Arg]) -> Option<Sample> {
    let delimiter = args.str_at(0).and_then(|d| d.bytes().next()).unwrap_or(b',');
    let mut out = Vec::new();
    for (name, _) in message.headers() {
        if !out.is_empty() {
            out.push(delimiter);
        }
        out.extend(name.iter().map(u8::to_ascii_lowercase));
    }
    present(message).then_some(Sample::Str(out))
}

fn block(txn: &TxnData, of: Direction, _: Direction) -> Option<Sample> {
    let message = txn.message(of);
    let mut out = Vec::new();
    for (name, value) in message.headers() {
        out.extend(name.iter().map(u8::to_ascii_lowercase));
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    present(message).then_some(Sample::Str(out))
}

/// Names and values, each behind its length, closed by two empty ones.
fn binary(message: &Message) -> Option<Sample> {
    let mut out = Vec::new();
    for (name, value) in message.headers() {
        push_sized(&mut out, &name.to_ascii_lowercase());
        push_sized(&mut out, value);
    }
    push_sized(&mut out, b"");
    push_sized(&mut out, b"");
    present(message).then_some(Sample::Bin(out))
}

/// Bytes behind their length: one byte below 240, then groups of 4 and 7 bits.
fn push_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes.len() as u64;
    if rest < 240 {
        out.push(low_byte(rest));
    } else {
        out.push(low_byte(rest) | 240);
        rest = (rest - 240) >> 4;
        while rest >= 128 {
            out.push(low_byte(rest) | 128);
            rest = (rest - 128) >> 7;
        }
        out.push(low_byte(rest));
    }
    out.extend_from_slice(bytes);
}

fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

fn present(message: &Message) -> bool {
    !message.is_empty()
}
