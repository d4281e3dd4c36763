//! Integers: arithmetic that stops at the largest value of the sign, bits, comparisons.

use super::{Row, int};
use crate::{
    sample::{
        Arg, Sample,
        SampleType::{Bool, Int, Str},
        args::{
            ArgKind::{self, IntOrVar},
            Args,
        },
    },
    txn::Txn,
};

const OPERAND: &[ArgKind] = &[IntOrVar];

pub(super) const ROWS: &[Row] = &[
    Row::new("add", Int, Int, |t, v, a| with(t, &v, a, i64::saturating_add)).args(1, OPERAND),
    Row::new("sub", Int, Int, |t, v, a| with(t, &v, a, i64::saturating_sub)).args(1, OPERAND),
    Row::new("mul", Int, Int, |t, v, a| with(t, &v, a, i64::saturating_mul)).args(1, OPERAND),
    Row::new("div", Int, Int, |t, v, a| with(t, &v, a, divide)).args(1, OPERAND),
    Row::new("mod", Int, Int, |t, v, a| with(t, &v, a, |x, y| if y == 0 { 0 } else { x.wrapping_rem(y) }))
        .args(1, OPERAND),
    Row::new("and", Int, Int, |t, v, a| with(t, &v, a, |x, y| x & y)).args(1, OPERAND),
    Row::new("or", Int, Int, |t, v, a| with(t, &v, a, |x, y| x | y)).args(1, OPERAND),
    Row::new("xor", Int, Int, |t, v, a| with(t, &v, a, |x, y| x ^ y)).args(1, OPERAND),
    Row::new("neg", Int, Int, |_, v, _| Some(Sample::Int(int(&v).saturating_neg()))),
    Row::new("cpl", Int, Int, |_, v, _| Some(Sample::Int(!int(&v)))),
    Row::new("not", Int, Bool, |_, v, _| Some(Sample::Bool(int(&v) == 0))),
    Row::new("bool", Int, Bool, |_, v, _| Some(Sample::Bool(int(&v) != 0))),
    Row::new("even", Int, Bool, |_, v, _| Some(Sample::Bool(int(&v) & 1 == 0))),
    Row::new("odd", Int, Bool, |_, v, _| Some(Sample::Bool(int(&v) & 1 == 1))),
    Row::new("iif", Bool, Str, |_, v, a| {
        let chosen = a.str_at(if int(&v) != 0 { 0 } else { 1 })?;
        Some(Sample::Str(chosen.as_bytes().to_vec()))
    })
    .args(2, &[ArgKind::Str, ArgKind::Str]),
];

/// The operand is written out or a variable; without such a variable there is no result.
fn with(txn: &Txn, value: &Sample, args: &[Arg], operate: fn(i64, i64) -> i64) -> Option<Sample> {
    let operand = operand(txn, args, 0)?;
    Some(Sample::Int(operate(int(value), operand)))
}

/// An integer argument: written out or the value of a variable.
pub(super) fn operand(txn: &Txn, args: &[Arg], at: usize) -> Option<i64> {
    match args.var_at(at) {
        Some(name) => txn.with_var(name, |value| value?.as_ref().int()),
        None => args.int_at(at),
    }
}

fn divide(x: i64, y: i64) -> i64 {
    match y {
        0 => i64::MAX,
        -1 => x.saturating_neg(),
        y => x / y,
    }
}
