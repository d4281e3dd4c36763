//! The built-in sample fetches: static tables, one per theme.
//!
//! A [`Row`] names a fetch, its arguments and one of three ways to take it: as a computed value,
//! as bytes that already lie in the transaction, or as one of several such bytes (header lines,
//! cookies, parameters), of which ACLs look at all. Source: configuration.txt 7.3.2 to 7.3.6.

mod constant;
mod cookie;
pub(crate) mod counter;
mod header;
mod internal;
mod payload;
mod request;
mod response;
pub(crate) mod session;
mod uri;

use std::sync::Arc;

use super::{
    Arg, Fetch, Needs, Sample, SampleRef, SampleType,
    args::{ArgKind, ArgSpec},
};
use crate::{
    cfgparse::ParseError,
    registry::Registry,
    txn::{Direction, Txn, TxnData},
};

/// Adds the tables to the registry.
pub(super) fn register(registry: &mut Registry) {
    let tables: [&'static [Row]; 10] = [
        constant::ROWS,
        cookie::ROWS,
        counter::ROWS,
        header::ROWS,
        internal::ROWS,
        payload::ROWS,
        request::ROWS,
        response::ROWS,
        session::ROWS,
        uri::ROWS,
    ];
    for row in tables.into_iter().flatten() {
        for name in row.names {
            registry.fetches.insert((*name).to_owned(), Arc::new(Builtin { row, name }));
        }
    }
}

/// A computed value.
type ValueFn = fn(&mut Txn, &[Arg], Direction) -> Option<Sample>;
/// Bytes that lie in the transaction.
type BytesFn = for<'a> fn(&'a TxnData, &'a [Arg]) -> Option<&'a [u8]>;
/// Every such bytes in turn, until the test holds; `None` if there are none.
type EachFn = fn(&TxnData, &[Arg], &mut dyn FnMut(&[u8]) -> bool) -> Option<bool>;
/// What bytes mean.
type ReadFn = for<'a> fn(&'a [u8]) -> Option<SampleRef<'a>>;
/// Checks compiled arguments and may change them.
type CheckFn = fn(&mut Vec<Arg>) -> Result<(), String>;

/// How a fetch takes its sample.
#[derive(Clone, Copy)]
enum Take {
    Value(ValueFn),
    Bytes {
        one: BytesFn,
        each: Option<EachFn>,
        read: ReadFn,
    },
    /// One of two, by the side whose rules are evaluated.
    Sided {
        request: (BytesFn, EachFn),
        response: (BytesFn, EachFn),
        read: ReadFn,
    },
}

/// One built-in fetch.
struct Row {
    names: &'static [&'static str],
    output: SampleType,
    needs: Needs,
    args: ArgSpec,
    check: Option<CheckFn>,
    take: Take,
}

impl Row {
    /// A computed value that needs nothing and takes no arguments.
    const fn value(names: &'static [&'static str], output: SampleType, run: ValueFn) -> Self {
        Self {
            names,
            output,
            needs: Needs::Nothing,
            args: ArgSpec::NONE,
            check: None,
            take: Take::Value(run),
        }
    }

    /// Text that lies in the transaction.
    const fn text(names: &'static [&'static str], one: BytesFn) -> Self {
        let take = Take::Bytes { one, each: None, read: as_str };
        Self { names, output: SampleType::Str, needs: Needs::Nothing, args: ArgSpec::NONE, check: None, take }
    }

    /// One of several texts.
    const fn list(names: &'static [&'static str], one: BytesFn, each: EachFn) -> Self {
        let take = Take::Bytes { one, each: Some(each), read: as_str };
        Self { names, output: SampleType::Str, needs: Needs::Nothing, args: ArgSpec::NONE, check: None, take }
    }

    const fn args(mut self, min: usize, kinds: &'static [ArgKind]) -> Self {
        self.args = ArgSpec { min, kinds };
        self
    }

    const fn check(mut self, check: CheckFn) -> Self {
        self.check = Some(check);
        self
    }

    const fn needs(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// The bytes mean something else than text.
    const fn reads(mut self, output: SampleType, new: ReadFn) -> Self {
        self.output = output;
        self.take = match self.take {
            Take::Bytes { one, each, .. } => Take::Bytes { one, each, read: new },
            Take::Sided { request, response, .. } => Take::Sided { request, response, read: new },
            value @ Take::Value(_) => value,
        };
        self
    }
}

/// A row under one of its names.
struct Builtin {
    row: &'static Row,
    name: &'static str,
}

/// The parts of a bytes fetch that count on one side.
type Side = (BytesFn, Option<EachFn>, ReadFn);

impl Builtin {
    fn side(&self, direction: Direction) -> Result<Side, ValueFn> {
        match (self.row.take, direction) {
            (Take::Value(run), _) => Err(run),
            (Take::Bytes { one, each, read }, _) => Ok((one, each, read)),
            (Take::Sided { request: (one, each), read, .. }, Direction::Request) => {
                Ok((one, Some(each), read))
            }
            (Take::Sided { response: (one, each), read, .. }, Direction::Response) => {
                Ok((one, Some(each), read))
            }
        }
    }
}

impl Fetch for Builtin {
    fn output(&self) -> SampleType {
        self.row.output
    }

    fn needs(&self) -> Needs {
        self.row.needs
    }

    fn args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError> {
        let name = self.name;
        let mut args = self
            .row
            .args
            .parse(raw)
            .map_err(|bad| ParseError::new(format!("fetch method '{name}' : {}", bad.text)))?;
        if let Some(check) = self.row.check {
            check(&mut args)
                .map_err(|text| ParseError::new(format!("invalid args in fetch method '{name}' : {text}")))?;
        }
        Ok(args)
    }

    fn fetch(&self, txn: &mut Txn, args: &[Arg], direction: Direction) -> Option<Sample> {
        match self.side(direction) {
            Err(run) => run(txn, args, direction),
            Ok((one, _, read)) => read(one(txn, args)?).map(SampleRef::to_owned),
        }
    }

    fn peek(
        &self,
        txn: &mut Txn,
        args: &[Arg],
        direction: Direction,
        show: &mut dyn FnMut(SampleRef<'_>),
    ) -> bool {
        match self.side(direction) {
            Err(run) => run(txn, args, direction).map(|sample| show(sample.as_ref())).is_some(),
            Ok((one, _, read)) => one(txn, args).and_then(read).map(show).is_some(),
        }
    }

    fn scan(
        &self,
        txn: &mut Txn,
        args: &[Arg],
        direction: Direction,
        test: &mut dyn FnMut(SampleRef<'_>) -> bool,
    ) -> Option<bool> {
        match self.side(direction) {
            Err(run) => run(txn, args, direction).map(|sample| test(sample.as_ref())),
            Ok((_, Some(each), read)) => {
                let mut seen = false;
                let hit = each(txn, args, &mut |bytes| {
                    let value = read(bytes);
                    seen |= value.is_some();
                    value.is_some_and(&mut *test)
                })?;
                seen.then_some(hit)
            }
            Ok((one, None, read)) => one(txn, args).and_then(read).map(test),
        }
    }
}

fn as_str(bytes: &[u8]) -> Option<SampleRef<'_>> {
    Some(SampleRef::Str(bytes))
}

fn as_bin(bytes: &[u8]) -> Option<SampleRef<'_>> {
    Some(SampleRef::Bin(bytes))
}

fn as_int(bytes: &[u8]) -> Option<SampleRef<'_>> {
    SampleRef::Str(bytes).int().map(SampleRef::Int)
}

fn as_addr(bytes: &[u8]) -> Option<SampleRef<'_>> {
    SampleRef::Str(bytes).addr().map(SampleRef::Addr)
}

/// A count as an integer sample.
fn int(count: impl TryInto<i64>) -> Option<Sample> {
    Some(Sample::Int(count.try_into().unwrap_or(i64::MAX)))
}
