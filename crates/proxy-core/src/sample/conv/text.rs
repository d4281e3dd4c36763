//! Texts: case, length, trimming, joining, comparing, choosing.

use super::{Row, bytes};
use crate::{
    sample::{
        Arg, Sample,
        SampleType::{Bool, Int, Str},
        args::{
            ArgKind::{self, Var},
            Args,
        },
    },
    txn::Txn,
    vars::VarName,
};

pub(super) const ROWS: &[Row] = &[
    Row::new("lower", Str, Str, |_, v, _| {
        let mut text = bytes(v);
        text.make_ascii_lowercase();
        Some(Sample::Str(text))
    }),
    Row::new("upper", Str, Str, |_, v, _| {
        let mut text = bytes(v);
        text.make_ascii_uppercase();
        Some(Sample::Str(text))
    }),
    Row::new("length", Str, Int, |_, v, _| {
        Some(Sample::Int(i64::try_from(bytes(v).len()).unwrap_or(i64::MAX)))
    }),
    Row::new("ltrim", Str, Str, |_, v, a| trim(v, a, true)).args(1, &[ArgKind::Str]),
    Row::new("rtrim", Str, Str, |_, v, a| trim(v, a, false)).args(1, &[ArgKind::Str]),
    Row::new("cut_crlf", Str, Str, |_, v, _| {
        let mut text = bytes(v);
        text.truncate(memchr::memchr2(b'\r', b'\n', &text).unwrap_or(text.len()));
        Some(Sample::Str(text))
    }),
    Row::new("reverse", Str, Str, |_, v, _| {
        let mut text = bytes(v);
        text.reverse();
        Some(Sample::Str(text))
    }),
    Row::new("reverse_dom", Str, Str, |_, v, _| reverse_domain(&bytes(v)).map(Sample::Str)),
    Row::new("concat", Str, Str, concat).args(0, &[ArgKind::Str, Var, ArgKind::Str]),
    Row::new("add_item", Str, Str, add_item).args(2, &[ArgKind::Str, Var, ArgKind::Str]),
    Row::new("strcmp", Str, Int, strcmp).args(1, &[Var]),
    Row::new("secure_memcmp", Str, Bool, |t, v, a| {
        let other = variable(t, a.var_at(0)?)?;
        Some(Sample::Bool(same(&bytes(v), &other)))
    })
    .args(1, &[Var]),
    Row::new("param", Str, Str, param).args(1, &[ArgKind::Str, ArgKind::Str]),
    Row::new("language", Str, Str, language).args(1, &[ArgKind::Str, ArgKind::Str]),
];

fn trim(value: Sample, args: &[Arg], left: bool) -> Option<Sample> {
    let mut text = bytes(value);
    let chars = args.str_at(0)?.as_bytes();
    let is_kept = |b: &u8| !chars.contains(b);
    if left {
        let from = text.iter().position(is_kept).unwrap_or(text.len());
        text.drain(..from);
    } else {
        let to = text.iter().rposition(is_kept).map_or(0, |last| last + 1);
        text.truncate(to);
    }
    Some(Sample::Str(text))
}

fn reverse_domain(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b".").unwrap_or(text);
    let labels: Vec<&[u8]> = text.split(|b| *b == b'.').rev().collect();
    labels.iter().all(|label| !label.is_empty()).then(|| labels.join(&b'.'))
}

/// The value of a variable as text.
fn variable(txn: &Txn, name: &VarName) -> Option<Vec<u8>> {
    txn.with_var(name, |value| Some(value?.as_ref().text().into_owned()))
}

fn concat(txn: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let mut text = bytes(value);
    text.extend_from_slice(args.str_at(0).unwrap_or_default().as_bytes());
    if let Some(name) = args.var_at(1) {
        txn.with_var(name, |value| value.inspect(|v| v.as_ref().append_to(&mut text)).is_some());
    }
    text.extend_from_slice(args.str_at(2).unwrap_or_default().as_bytes());
    Some(Sample::Str(text))
}

fn add_item(txn: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let mut text = bytes(value);
    let mut item = args.var_at(1).and_then(|name| variable(txn, name)).unwrap_or_default();
    if args.var_at(1).is_none() || !item.is_empty() {
        item.extend_from_slice(args.str_at(2).unwrap_or_default().as_bytes());
    }
    if !text.is_empty() && !item.is_empty() {
        text.extend_from_slice(args.str_at(0).unwrap_or_default().as_bytes());
    }
    text.extend(item);
    Some(Sample::Str(text))
}

/// 0 if equal, else the difference of the first bytes that differ, else of the lengths' sign.
fn strcmp(txn: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let (left, right) = (bytes(value), variable(txn, args.var_at(0)?)?);
    let differ = left.iter().zip(&right).find(|(l, r)| l != r);
    let result = match differ {
        Some((l, r)) => i64::from(*l) - i64::from(*r),
        None => left.len().cmp(&right.len()) as i64,
    };
    Some(Sample::Int(result))
}

/// Compares in a time that depends on the lengths only.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |diff, (l, r)| diff | (l ^ r)) == 0
}

fn param(_: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let text = bytes(value);
    let name = args.str_at(0)?.as_bytes();
    let delimiter = args.str_at(1).and_then(|d| d.bytes().next()).unwrap_or(b'&');
    text.split(|b| *b == delimiter).find_map(|piece| {
        let equals = memchr::memchr(b'=', piece);
        let found = &piece[..equals.unwrap_or(piece.len())];
        let value = equals.map_or(&b""[..], |at| &piece[at + 1..]);
        (found == name).then(|| Sample::Str(value.to_vec()))
    })
}

/// The best of the languages offered, by their weights in the header; the first of equals.
fn language(_: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let text = bytes(value);
    let mut best: Option<(u32, &str)> = None;
    for item in text.split(|b| *b == b',') {
        let mut parts = item.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|p| p.strip_prefix(b"q=")).map_or(1000, weight);
        let Some(known) = offered(args.str_at(0)?, name) else { continue };
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, known));
        }
    }
    best.map(|(_, name)| name).or(args.str_at(1)).map(|name| Sample::Str(name.as_bytes().to_vec()))
}

/// The offered language that this one names, by itself or by what stands before its dash.
fn offered<'a>(list: &'a str, name: &[u8]) -> Option<&'a str> {
    let base = name.split(|b| *b == b'-').next().unwrap_or_default();
    let find = |wanted: &[u8]| list.split(';').find(|known| known.as_bytes() == wanted);
    find(name).or_else(|| find(base))
}

/// A q value in thousandths.
fn weight(text: &[u8]) -> u32 {
    let (whole, fraction) = match text.iter().position(|b| *b == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    let digit = |b: Option<&u8>| b.filter(|b| b.is_ascii_digit()).map_or(0, |b| u32::from(b - b'0'));
    let thousandths = digit(fraction.first()) * 100 + digit(fraction.get(1)) * 10 + digit(fraction.get(2));
    digit(whole.first()).min(1) * 1000 + thousandths
}
