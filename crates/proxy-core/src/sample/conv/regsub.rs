//! `regsub`, and the replacement texts that `replace-header` shares with it.

use regex::bytes::Captures;

use super::{Row, bytes};
use crate::{
    sample::{
        Arg, Pattern, Sample,
        SampleType::Str,
        args::{ArgKind, Args},
    },
    txn::Txn,
};

pub(super) const ROWS: &[Row] =
    &[Row::new("regsub", Str, Str, regsub).args(2, &[ArgKind::Str, ArgKind::Str, ArgKind::Str]).check(check)];

fn check(args: &mut Vec<Arg>) -> Result<(), String> {
    let flags = args.as_slice().str_at(2).unwrap_or_default();
    if let Some(bad) = flags.chars().find(|c| !matches!(c, 'i' | 'g')) {
        return Err(format!("invalid regex flag '{bad}', only 'i' and 'g' are supported"));
    }
    let regex = Pattern::new(args.as_slice().str_at(0).unwrap_or_default(), flags.contains('i'));
    let global = i64::from(flags.contains('g'));
    args[0] = Arg::Regex(regex.map_err(|e| e.message)?);
    args.truncate(2);
    args.push(Arg::Int(global));
    Ok(())
}

fn regsub(_: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let text = bytes(value);
    let (regex, template) = (args.regex_at(0)?, args.str_at(1)?.as_bytes());
    let global = args.int_at(2) == Some(1);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    // An empty match may follow a match directly, and moves on by a byte.
    while let Some(found) = regex.0.captures_at(&text, at) {
        let whole = found.get(0)?;
        out.extend_from_slice(&text[at..whole.start()]);
        expand(template, &found, &mut out);
        at = whole.end();
        if !global {
            break;
        }
        if whole.is_empty() {
            let Some(byte) = text.get(at) else { break };
            out.push(*byte);
            at += 1;
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    Some(Sample::Str(out))
}

/// Appends a replacement: `\0` to `\9` are groups, `\xHH` is a byte, another `\c` is `c`.
pub(crate) fn expand(template: &[u8], groups: &Captures<'_>, out: &mut Vec<u8>) {
    let mut rest = template;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..backslash]);
        rest = &rest[backslash + 1..];
        let used = match rest {
            [digit @ b'0'..=b'9', ..] => {
                if let Some(group) = groups.get(usize::from(digit - b'0')) {
                    out.extend_from_slice(group.as_bytes());
                }
                1
            }
            [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit =
                    |b: &u8| (*b as char).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
                out.push(digit(high) << 4 | digit(low));
                3
            }
            [other, ..] => {
                out.push(*other);
                1
            }
            [] => 0,
        };
        rest = &rest[used..];
    }
    out.extend_from_slice(rest);
}
