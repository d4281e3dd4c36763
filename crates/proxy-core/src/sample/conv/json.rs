//! `json`: escaping for a JSON string, with five ways to treat broken UTF-8.

use super::{Row, bytes};
use crate::{
    sample::{
        Arg, Sample,
        SampleType::Str,
        args::{ArgKind, Args},
    },
    txn::Txn,
};

pub(super) const ROWS: &[Row] = &[Row::new("json", Str, Str, json).args(0, &[ArgKind::Str]).check(|args| {
    match args.as_slice().str_at(0) {
        None | Some("ascii" | "utf8" | "utf8s" | "utf8p" | "utf8ps") => Ok(()),
        Some(_) => Err(
            "Unexpected input code type. Allowed value are 'ascii', 'utf8', 'utf8s', 'utf8p' and 'utf8ps'"
                .to_owned(),
        ),
    }
})];

fn json(_: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let text = bytes(value);
    let mode = args.str_at(0).unwrap_or("ascii");
    let (skip_errors, fix_overlong) = (mode.ends_with('s'), mode.contains('p'));
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_slice();
    while let [first, ..] = rest {
        let (code, used) =
            if mode == "ascii" { (Some(u32::from(*first)), 1) } else { decode(rest, fix_overlong) };
        rest = &rest[used..];
        match code {
            Some(code @ 0..=0xffff) => escape(code, &mut out),
            _ if skip_errors => {}
            _ => return None,
        }
    }
    Some(Sample::Str(out))
}

/// One character and the bytes it took; `None` for a sequence that is broken, out of range or
/// (unless forgiven) longer than needed.
fn decode(text: &[u8], fix_overlong: bool) -> (Option<u32>, usize) {
    let (len, start, least) = match text[0] {
        b @ 0..=0x7f => return (Some(u32::from(b)), 1),
        b @ 0xc0..=0xdf => (2, u32::from(b & 0x1f), 0x80),
        b @ 0xe0..=0xef => (3, u32::from(b & 0x0f), 0x800),
        b @ 0xf0..=0xf7 => (4, u32::from(b & 0x07), 0x1_0000),
        _ => return (None, 1),
    };
    let follow = text[1..].iter().take(len - 1).take_while(|b| **b & 0xc0 == 0x80);
    let (code, used) = follow.fold((start, 1), |(code, used), b| (code << 6 | u32::from(b & 0x3f), used + 1));
    let overlong = code < least && !fix_overlong;
    let surrogate = (0xd800..=0xdfff).contains(&code);
    if used < len || overlong || surrogate { (None, used) } else { (Some(code), used) }
}

fn escape(code: u32, out: &mut Vec<u8>) {
    let short = match code {
        0x22 => Some(b'"'),
        0x5c => Some(b'\\'),
        0x2f => Some(b'/'),
        0x08 => Some(b'b'),
        0x0c => Some(b'f'),
        0x0a => Some(b'n'),
        0x0d => Some(b'r'),
        0x09 => Some(b't'),
        _ => None,
    };
    match (short, u8::try_from(code)) {
        (Some(letter), _) => out.extend_from_slice(&[b'\\', letter]),
        (None, Ok(plain @ 0x20..=0x7e)) => out.push(plain),
        _ => out.extend_from_slice(format!("\\u{code:04x}").as_bytes()),
    }
}
