//! The built-in converters: static tables, one per theme. Source: configuration.txt 7.3.1.

mod arith;
mod bytes;
mod encode;
pub(crate) mod hash;
mod json;
mod map;
mod net;
mod regsub;
mod text;
mod time;
mod variable;

use std::sync::Arc;

use super::{
    Arg, Converter, Sample, SampleType,
    args::{ArgKind, ArgSpec},
};
use crate::{cfgparse::ParseError, registry::Registry, txn::Txn};

pub(crate) use regsub::expand;

/// Adds the tables to the registry.
pub(super) fn register(registry: &mut Registry) {
    let tables: [&'static [Row]; 10] = [
        arith::ROWS,
        bytes::ROWS,
        encode::ROWS,
        hash::ROWS,
        json::ROWS,
        net::ROWS,
        regsub::ROWS,
        text::ROWS,
        time::ROWS,
        variable::ROWS,
    ];
    for row in tables.into_iter().flatten() {
        registry.converters.insert(row.name.to_owned(), Arc::new(Builtin(row)));
    }
    map::register(registry);
}

type ConvertFn = fn(&mut Txn, Sample, &[Arg]) -> Option<Sample>;
type CheckFn = fn(&mut Vec<Arg>) -> Result<(), String>;

/// One built-in converter. Its input has been cast to `input` before it runs.
struct Row {
    name: &'static str,
    input: SampleType,
    output: SampleType,
    args: ArgSpec,
    check: Option<CheckFn>,
    run: ConvertFn,
}

impl Row {
    const fn new(name: &'static str, input: SampleType, output: SampleType, run: ConvertFn) -> Self {
        Self { name, input, output, args: ArgSpec::NONE, check: None, run }
    }

    const fn args(mut self, min: usize, kinds: &'static [ArgKind]) -> Self {
        self.args = ArgSpec { min, kinds };
        self
    }

    const fn check(mut self, check: CheckFn) -> Self {
        self.check = Some(check);
        self
    }
}

/// A row as the registry holds it.
struct Builtin(&'static Row);

impl Converter for Builtin {
    fn input(&self) -> SampleType {
        self.0.input
    }

    fn output(&self) -> SampleType {
        self.0.output
    }

    fn args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError> {
        let name = self.0.name;
        let mut args = self.0.args.parse(raw).map_err(|bad| {
            ParseError::new(format!("invalid arg {} in converter '{name}' : {}", bad.position, bad.text))
        })?;
        if let Some(check) = self.0.check {
            check(&mut args)
                .map_err(|text| ParseError::new(format!("invalid args in converter '{name}' : {text}")))?;
        }
        Ok(args)
    }

    fn convert(&self, txn: &mut Txn, input: Sample, args: &[Arg]) -> Option<Sample> {
        (self.0.run)(txn, input.cast(self.0.input)?, args)
    }
}

/// The integer of a cast sample.
fn int(sample: &Sample) -> i64 {
    match sample {
        Sample::Int(i) => *i,
        Sample::Bool(b) => i64::from(*b),
        _ => 0,
    }
}

/// The bytes of a cast sample.
fn bytes(sample: Sample) -> Vec<u8> {
    match sample {
        Sample::Str(b) | Sample::Bin(b) | Sample::Method(b) => b,
        _ => Vec::new(),
    }
}
