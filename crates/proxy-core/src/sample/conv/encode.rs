//! Encodings: hexadecimal, base64, URL.

use super::{Row, bytes};
use crate::{
    sample::{
        Arg, Sample,
        SampleType::{Bin, Int, Str},
        args::{ArgKind, Args},
    },
    txn::Txn,
};

pub(super) const ROWS: &[Row] = &[
    Row::new("hex", Bin, Str, |_, v, _| Some(Sample::Str(hex(&bytes(v))))),
    Row::new("hex2i", Str, Int, |_, v, _| hex_to_int(&bytes(v)).map(Sample::Int)),
    Row::new("be2hex", Bin, Str, chunked_hex)
        .args(0, &[ArgKind::Str, ArgKind::Int, ArgKind::Int])
        .check(check_chunk),
    Row::new("base2", Bin, Str, |_, v, _| {
        let digits = bytes(v).into_iter().flat_map(|b| (0..8).rev().map(move |bit| b'0' + (b >> bit & 1)));
        Some(Sample::Str(digits.collect()))
    }),
    Row::new("base64", Bin, Str, |_, v, _| Some(Sample::Str(base64(&bytes(v), STANDARD, true)))),
    Row::new("b64dec", Str, Bin, |_, v, _| unbase64(&bytes(v), STANDARD, true).map(Sample::Bin)),
    Row::new("ub64enc", Bin, Str, |_, v, _| Some(Sample::Str(base64(&bytes(v), URL_SAFE, false)))),
    Row::new("ub64dec", Str, Bin, |_, v, _| unbase64(&bytes(v), URL_SAFE, false).map(Sample::Bin)),
    Row::new("url_enc", Str, Str, |_, v, _| Some(Sample::Str(url_encode(&bytes(v)))))
        .args(0, &[ArgKind::Str])
        .check(|args| match args.as_slice().str_at(0) {
            None | Some("query") => Ok(()),
            Some(_) => Err("Unexpected encode type. Allowed value is 'query'".to_owned()),
        }),
    Row::new("url_dec", Str, Str, |_, v, args| {
        url_decode(bytes(v), args.int_at(0).unwrap_or(0) != 0).map(Sample::Str)
    })
    .args(0, &[ArgKind::Int]),
];

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]).collect()
}

/// At most the last sixteen digits count; `None` if one is none.
fn hex_to_int(text: &[u8]) -> Option<i64> {
    let value = text
        .iter()
        .try_fold(0_u64, |value, b| (*b as char).to_digit(16).map(|digit| value << 4 | u64::from(digit)));
    value.map(u64::cast_signed)
}

fn check_chunk(args: &mut Vec<Arg>) -> Result<(), String> {
    match args.as_slice().int_at(1) {
        Some(size) if size < 1 => Err("chunk_size needs to be greater than 0".to_owned()),
        _ => Ok(()),
    }
}

fn chunked_hex(_: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let bytes = bytes(value);
    let separator = args.str_at(0).unwrap_or_default().as_bytes();
    let size = args.int_at(1).map_or(bytes.len().max(1), |size| usize::try_from(size).unwrap_or(usize::MAX));
    let truncate = args.int_at(2).unwrap_or(0) != 0;
    let mut out = Vec::with_capacity(bytes.len() * 2);
    for (at, chunk) in bytes.chunks(size).filter(|chunk| !truncate || chunk.len() == size).enumerate() {
        if at > 0 {
            out.extend_from_slice(separator);
        }
        out.extend(hex(chunk));
    }
    Some(Sample::Str(out))
}

fn base64(bytes: &[u8], alphabet: &[u8; 64], pad: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, b| group << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place <= chunk.len() {
                out.push(alphabet[(group >> (18 - 6 * place) & 63) as usize]);
            } else if pad {
                out.push(b'=');
            }
        }
    }
    out
}

/// Padding must be complete where it is asked for, and may be there where it is not.
fn unbase64(text: &[u8], alphabet: &[u8; 64], padded: bool) -> Option<Vec<u8>> {
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] => digits,
        digits => digits,
    };
    let whole = if padded || digits.len() < text.len() {
        text.len().is_multiple_of(4)
    } else {
        digits.len() % 4 != 1
    };
    if !whole {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.chunks(4) {
        let mut group = 0_u32;
        for place in 0..4 {
            let six = match chunk.get(place) {
                Some(digit) => alphabet.iter().position(|known| known == digit)?,
                None => 0,
            };
            group = group << 6 | u32::try_from(six).ok()?;
        }
        out.extend_from_slice(&group.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}

/// Letters, digits and `-_.~` stay.
fn url_encode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            other => {
                out.push(b'%');
                out.extend(hex(&[*other]));
            }
        }
    }
    out
}

/// A plus is a space in a form, elsewhere only behind a question mark; `None` for a broken escape.
fn url_decode(mut text: Vec<u8>, form: bool) -> Option<Vec<u8>> {
    let (mut read, mut written, mut in_query) = (0, 0, form);
    while let Some(byte) = text.get(read).copied() {
        let plain = match byte {
            b'+' if in_query => b' ',
            b'%' => {
                let digit = |at: usize| (*text.get(at)? as char).to_digit(16);
                let code = digit(read + 1)? << 4 | digit(read + 2)?;
                read += 2;
                u8::try_from(code).ok()?
            }
            other => {
                in_query |= other == b'?';
                other
            }
        };
        text[written] = plain;
        written += 1;
        read += 1;
    }
    text.truncate(written);
    Some(text)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
