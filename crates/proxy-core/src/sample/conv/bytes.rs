//! Parts of texts and binary values: `bytes`, `field`, `word`.

use super::{Row, arith::operand, bytes};
use crate::{
    sample::{
        Arg, Sample,
        SampleType::{Bin, Str},
        args::{
            ArgKind::{self, Int, IntOrVar},
            Args,
        },
    },
    txn::Txn,
};

const INDEX_DELIMITERS_COUNT: &[ArgKind] = &[Int, ArgKind::Str, Int];

pub(super) const ROWS: &[Row] = &[
    Row::new("bytes", Bin, Bin, cut).args(1, &[IntOrVar, IntOrVar]),
    Row::new("field", Str, Str, field).args(2, INDEX_DELIMITERS_COUNT).check(check_index),
    Row::new("word", Str, Str, word).args(2, INDEX_DELIMITERS_COUNT).check(check_index),
];

fn cut(txn: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let mut bytes = bytes(value);
    let offset = usize::try_from(operand(txn, args, 0)?).ok().filter(|from| *from < bytes.len());
    let length = match args.get(1) {
        None | Some(Arg::None) => Some(usize::MAX),
        Some(_) => usize::try_from(operand(txn, args, 1)?).ok(),
    };
    let (Some(offset), Some(length)) = (offset, length) else { return Some(Sample::Bin(Vec::new())) };
    bytes.drain(..offset);
    bytes.truncate(length);
    Some(Sample::Bin(bytes))
}

fn check_index(args: &mut Vec<Arg>) -> Result<(), String> {
    match args.as_slice().int_at(0) {
        Some(0) => Err("Unexpected value 0 for index".to_owned()),
        _ => Ok(()),
    }
}

/// How many pieces are asked for; 0 and less mean all that remain.
fn wanted(args: &[Arg]) -> usize {
    match args.int_at(2).unwrap_or(1) {
        count @ 1.. => usize::try_from(count).unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}

/// The ends of all pieces between delimiters, empty ones included.
fn pieces<'a>(text: &'a [u8], delimiters: &'a [u8]) -> impl DoubleEndedIterator<Item = (usize, usize)> + 'a {
    let start = text.as_ptr() as usize;
    text.split(|b| delimiters.contains(b)).map(move |piece| {
        let from = piece.as_ptr() as usize - start;
        (from, from + piece.len())
    })
}

fn field(_: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let mut text = bytes(value);
    let delimiters = args.str_at(1)?.as_bytes();
    let index = args.int_at(0)?;
    let skip = usize::try_from(index.unsigned_abs() - 1).ok()?;
    let last = skip.saturating_add(wanted(args)) - 1;
    let (from, to) = if index > 0 {
        let mut rest = pieces(&text, delimiters).skip(skip);
        let first = rest.next()?;
        let end = rest.take(last - skip).last().unwrap_or(first);
        (first.0, end.1)
    } else {
        let mut rest = pieces(&text, delimiters).rev().skip(skip);
        let first = rest.next()?;
        let end = rest.take(last - skip).last().unwrap_or(first);
        (end.0, first.1)
    };
    text.truncate(to);
    text.drain(..from);
    Some(Sample::Str(text))
}

/// As [`field`], counting pieces that are not empty; what is asked for "to the end" keeps the
/// delimiters there, and a word that is not there is empty.
fn word(_: &mut Txn, value: Sample, args: &[Arg]) -> Option<Sample> {
    let mut text = bytes(value);
    let delimiters = args.str_at(1)?.as_bytes();
    let index = args.int_at(0)?;
    let skip = usize::try_from(index.unsigned_abs() - 1).ok()?;
    let count = wanted(args);
    let filled = |piece: &(usize, usize)| piece.0 < piece.1;
    let (from, to) = if index > 0 {
        let mut rest = pieces(&text, delimiters).filter(filled).skip(skip);
        match rest.next() {
            None => (0, 0),
            Some(first) if count == 1 => first,
            Some(first) => (first.0, rest.nth(count - 2).map_or(text.len(), |end| end.1)),
        }
    } else {
        let mut rest = pieces(&text, delimiters).rev().filter(filled).skip(skip);
        match rest.next() {
            None => (0, 0),
            Some(first) if count == 1 => first,
            Some(first) => (rest.nth(count - 2).map_or(0, |end| end.0), first.1),
        }
    };
    text.truncate(to);
    text.drain(..from);
    Some(Sample::Str(text))
}
