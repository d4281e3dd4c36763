//! Parameters and parts of the request target.

use super::{Row, as_int, header::any, int};
use crate::{
    sample::{
        Arg, Needs, Sample, SampleType,
        args::{
            ArgKind::{self, Str},
            Args,
        },
        parse_addr,
    },
    txn::TxnData,
};

const NAME_DELIM_I: &[ArgKind] = &[Str, Str, Str];

pub(super) const ROWS: &[Row] = &[
    params(&["url_param", "urlp"]),
    params(&["urlp_val"]).reads(SampleType::Int, as_int),
    Row::list(
        &["req.body_param"],
        |t, args| body_params(t, args).next(),
        |t, args, test| any(body_params(t, args), test),
    )
    .args(0, &[Str, Str])
    .needs(Needs::RequestHeaders),
    Row::value(&["url_ip"], SampleType::Addr, |t, _, _| parse_addr(authority(t)?).map(Sample::Addr))
        .needs(Needs::RequestHeaders),
    Row::value(&["url_port"], SampleType::Int, |t, _, _| {
        let authority = authority(t)?;
        let port = authority.rsplit(|b| *b == b':').next().filter(|p| p.len() < authority.len());
        int(port.map_or(Some(80), |p| std::str::from_utf8(p).ok()?.parse::<u16>().ok())?)
    })
    .needs(Needs::RequestHeaders),
];

const fn params(names: &'static [&'static str]) -> Row {
    Row::list(names, |t, args| url_params(t, args).next(), |t, args, test| any(url_params(t, args), test))
        .args(0, NAME_DELIM_I)
        .check(|args| match args.as_slice().str_at(2) {
            None | Some("i") => Ok(()),
            Some(other) => Err(format!("'{other}' is not a valid option, only 'i' is supported")),
        })
        .needs(Needs::RequestHeaders)
}

/// The values of the parameters of that name, or of all.
fn url_params<'a>(txn: &'a TxnData, args: &'a [Arg]) -> impl Iterator<Item = &'a [u8]> {
    let delimiter = args.str_at(1).and_then(|d| d.bytes().next());
    let uri = txn.req.uri();
    let start = memchr::memchr(delimiter.unwrap_or(b'?'), uri).map_or(uri.len(), |at| at + 1);
    let is_end = move |b: &u8| matches!(b, b'&' | b';') || Some(*b) == delimiter;
    named(&uri[start..], is_end, args.str_at(0), args.str_at(2).is_some())
}

fn body_params<'a>(txn: &'a TxnData, args: &'a [Arg]) -> impl Iterator<Item = &'a [u8]> {
    named(txn.req_chn.data(), |b: &u8| *b == b'&', args.str_at(0), args.str_at(1).is_some())
}

fn named<'a>(
    text: &'a [u8],
    is_end: impl FnMut(&u8) -> bool + 'a,
    name: Option<&'a str>,
    ignore_case: bool,
) -> impl Iterator<Item = &'a [u8]> {
    text.split(is_end).filter_map(move |param| {
        let equals = memchr::memchr(b'=', param)?;
        let found = &param[..equals];
        let wanted = name.is_none_or(|name| {
            found == name.as_bytes() || (ignore_case && found.eq_ignore_ascii_case(name.as_bytes()))
        });
        wanted.then(|| &param[equals + 1..])
    })
}

/// Host and port of an absolute target.
fn authority(txn: &TxnData) -> Option<&[u8]> {
    let uri = txn.req.uri();
    let start = memchr::memmem::find(uri, b"://")? + 3;
    let rest = &uri[start..];
    Some(&rest[..memchr::memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len())])
}
