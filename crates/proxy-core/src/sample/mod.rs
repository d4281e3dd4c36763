//! Samples: typed values taken from traffic by fetches and changed by converters.

pub mod expr;
pub mod logformat;

use std::net::IpAddr;

use crate::{
    cfgparse::ParseError,
    registry::Registry,
    txn::{Direction, Txn},
};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sample {
    /// Boolean.
    Bool(bool),
    /// Signed 64-bit integer.
    Int(i64),
    /// IPv4 or IPv6 address.
    Addr(IpAddr),
    /// Text (bytes; no charset is implied).
    Str(Vec<u8>),
    /// Binary.
    Bin(Vec<u8>),
    /// HTTP method, as text.
    Method(Vec<u8>),
}

/// The type of a sample, for checks when the configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleType {
    /// Known at run time only.
    Any,
    /// Boolean.
    Bool,
    /// Integer.
    Int,
    /// Address.
    Addr,
    /// Text.
    Str,
    /// Binary.
    Bin,
    /// HTTP method.
    Method,
}

/// A checked argument of a fetch or converter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arg {
    /// Text.
    Str(String),
    /// Integer.
    Int(i64),
    /// Variable.
    Var(crate::vars::VarName),
}

/// A sample fetch.
pub trait Fetch: Send + Sync {
    /// What it gives.
    fn output(&self) -> SampleType;
    /// Checks and compiles the arguments as written.
    ///
    /// # Errors
    /// Too few, too many or malformed ones.
    fn args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError>;
    /// Takes the sample. `direction` is the side whose rules are being evaluated.
    ///
    /// `None`: there is no such thing, the expression does not match.
    fn fetch(&self, txn: &mut Txn, args: &[Arg], direction: Direction) -> Option<Sample>;
}

/// A converter.
pub trait Converter: Send + Sync {
    /// What it takes; the input is cast to it first.
    fn input(&self) -> SampleType;
    /// What it gives.
    fn output(&self) -> SampleType;
    /// Checks and compiles the arguments as written.
    ///
    /// # Errors
    /// Too few, too many or malformed ones.
    fn args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError>;
    /// Converts. `None`: the expression does not match.
    fn convert(&self, txn: &mut Txn, input: Sample, args: &[Arg]) -> Option<Sample>;
}

const _: Option<&dyn Fetch> = None;
const _: Option<&dyn Converter> = None;

/// Adds the built-in fetches and converters.
pub(crate) fn register_builtin(registry: &mut Registry) {
    let _ = registry;
}
