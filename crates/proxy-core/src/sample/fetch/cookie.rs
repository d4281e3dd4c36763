//! Cookies: `req.cook` over `cookie` lines, `res.cook` over `set-cookie` lines.
//!
//! Pairs are separated by semicolons or commas outside quotes; spaces around name and value do
//! not count; a pair without an equals sign is none.

use super::{Row, as_int, header::any, int};
use crate::{
    http::Message,
    sample::{
        Arg, Needs, Sample, SampleType,
        args::{ArgKind::Str, Args},
    },
};

pub(super) const ROWS: &[Row] = &[
    request(&["req.cook", "cook", "cookie"]),
    request(&["req.cook_val", "cook_val"]).reads(SampleType::Int, as_int),
    response(&["res.cook", "scook", "set-cookie"]),
    response(&["res.cook_val", "scook_val"]).reads(SampleType::Int, as_int),
    Row::value(&["req.cook_cnt", "cook_cnt"], SampleType::Int, |t, args, _| {
        int(matching(cookies(&t.req), args).count())
    })
    .args(0, &[Str])
    .needs(Needs::RequestHeaders),
    Row::value(&["res.cook_cnt", "scook_cnt"], SampleType::Int, |t, args, _| {
        int(matching(set_cookies(&t.res), args).count())
    })
    .args(0, &[Str])
    .needs(Needs::ResponseHeaders),
    Row::value(&["req.cook_names"], SampleType::Str, |t, args, _| names(cookies(&t.req), args))
        .args(0, &[Str])
        .needs(Needs::RequestHeaders),
    Row::value(&["res.cook_names"], SampleType::Str, |t, args, _| names(set_cookies(&t.res), args))
        .args(0, &[Str])
        .needs(Needs::ResponseHeaders),
];

const fn request(names: &'static [&'static str]) -> Row {
    Row::list(
        names,
        |t, args| pick(cookies(&t.req), args),
        |t, args, test| any(matching(cookies(&t.req), args), test),
    )
    .args(0, &[Str])
    .needs(Needs::RequestHeaders)
}

const fn response(names: &'static [&'static str]) -> Row {
    Row::list(
        names,
        |t, args| pick(set_cookies(&t.res), args),
        |t, args, test| any(matching(set_cookies(&t.res), args), test),
    )
    .args(0, &[Str])
    .needs(Needs::ResponseHeaders)
}

/// A cookie's name.
type CookieName<'a> = &'a [u8];

/// The cookies of a request, in order.
fn cookies(message: &Message) -> impl Iterator<Item = (CookieName<'_>, &[u8])> {
    message.header_lines(b"cookie").flat_map(|line| pairs(line, true))
}

/// The cookies that a response sets: the first pair of each line.
fn set_cookies(message: &Message) -> impl Iterator<Item = (CookieName<'_>, &[u8])> {
    message.header_lines(b"set-cookie").filter_map(|line| pairs(line, false).next())
}

fn pairs(line: &[u8], commas: bool) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        loop {
            let line = rest?;
            let end = pair_end(line, commas);
            rest = line.get(end + 1..);
            let pair = &line[..end];
            if let Some(equals) = memchr::memchr(b'=', pair) {
                return Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()));
            }
        }
    })
}

fn pair_end(line: &[u8], commas: bool) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return at,
            b',' if commas && !quoted => return at,
            _ => {}
        }
    }
    line.len()
}

fn matching<'a>(
    all: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    args: &'a [Arg],
) -> impl Iterator<Item = &'a [u8]> {
    let wanted = args.str_at(0).map(str::as_bytes);
    all.filter(move |(name, _)| wanted.is_none_or(|wanted| wanted == *name)).map(|(_, value)| value)
}

/// The last cookie of that name, or the first of all.
fn pick<'a>(mut all: impl Iterator<Item = (&'a [u8], &'a [u8])>, args: &'a [Arg]) -> Option<&'a [u8]> {
    match args.str_at(0) {
        Some(_) => matching(all, args).last(),
        None => all.next().map(|(_, value)| value),
    }
}

fn names<'a>(all: impl Iterator<Item = (&'a [u8], &'a [u8])>, args: &[Arg]) -> Option<Sample> {
    let delimiter = args.str_at(0).and_then(|d| d.bytes().next()).unwrap_or(b',');
    let mut out: Option<Vec<u8>> = None;
    for (name, _) in all {
        match &mut out {
            Some(out) => out.push(delimiter),
            none => *none = Some(Vec::new()),
        }
        out.get_or_insert_default().extend_from_slice(name);
    }
    out.map(Sample::Str)
}
