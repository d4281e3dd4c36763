//! Samples: typed values taken from traffic by fetches and changed by converters.
//!
//! ```text
//!   fetch ──► Sample ──cast──► converter ──► Sample ──► … ──► rule, ACL pattern, log-format
//! ```
//!
//! A fetch or converter is a value in the registry; the built-in ones are rows of static tables
//! (`fetch`, `conv`). Source: configuration.txt 7.

pub mod args;
mod cast;
pub(crate) mod conv;
pub mod expr;
pub(crate) mod fetch;
pub mod logformat;
mod stick;

use std::net::IpAddr;

pub use args::Pattern;
pub(crate) use cast::{leading_int, parse_addr};

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

/// A value that is looked at where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleRef<'a> {
    /// Boolean.
    Bool(bool),
    /// Signed 64-bit integer.
    Int(i64),
    /// IPv4 or IPv6 address.
    Addr(IpAddr),
    /// Text.
    Str(&'a [u8]),
    /// Binary.
    Bin(&'a [u8]),
    /// HTTP method, as text.
    Method(&'a [u8]),
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
    /// Left out.
    None,
    /// Text.
    Str(String),
    /// Integer.
    Int(i64),
    /// Variable.
    Var(crate::vars::VarName),
    /// Address, or a network mask in the form of one.
    Addr(IpAddr),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Regular expression.
    Regex(Pattern),
    /// Conditions of `set-var`.
    Conds(crate::vars::SetConds),
    /// A map to look values up in.
    Map(crate::pattern_ref::PatternList),
    /// A stick table.
    Table(crate::stick_table::TableArg),
}

/// What a fetch needs to be there; a rule set that cannot offer it refuses the expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Needs {
    /// Nothing that comes and goes.
    #[default]
    Nothing,
    /// Bytes of the request.
    RequestBuffer,
    /// Head of the request, while it is processed.
    RequestHeaders,
    /// A chosen server.
    Server,
    /// Bytes of the response.
    ResponseBuffer,
    /// Status of the response.
    Response,
    /// Head of the response, while it is processed.
    ResponseHeaders,
}

impl Needs {
    /// As error texts call it.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::RequestBuffer => "request buffer",
            Self::RequestHeaders => "HTTP request headers",
            Self::Server => "server",
            Self::ResponseBuffer => "response buffer",
            Self::Response => "HTTP response",
            Self::ResponseHeaders => "HTTP response headers",
        }
    }
}

/// What the evaluation of samples notes in a transaction, and what it must know of its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampling {
    /// A sample that was asked for may still come or change when more data arrives. Cleared
    /// before each condition; stays false where rules do not wait for content.
    pub may_change: bool,
    /// Content rules are evaluated: an answer that more data could change is worth a wait, until
    /// the channel is [settled](crate::channel::Channel::settled).
    pub may_wait: bool,
    /// Connection or session rules are evaluated: there is no exchange yet.
    pub session_only: bool,
    /// Scope `req` has ended, scope `res` has begun.
    pub response_scope: bool,
}

/// A sample fetch.
pub trait Fetch: Send + Sync {
    /// What it gives.
    fn output(&self) -> SampleType;
    /// Checks and compiles the arguments as written.
    ///
    /// `raw` is empty without parentheses and holds one empty text for `()`.
    ///
    /// # Errors
    /// Too few, too many or malformed ones.
    fn args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError>;
    /// Takes the sample. `direction` is the side whose rules are being evaluated.
    ///
    /// `None`: there is no such thing, the expression does not match.
    fn fetch(&self, txn: &mut Txn, args: &[Arg], direction: Direction) -> Option<Sample>;
    /// What must be there for it to work.
    fn needs(&self) -> Needs {
        Needs::Nothing
    }
    /// Shows the sample without copying it where that is possible; whether there was one.
    fn peek(
        &self,
        txn: &mut Txn,
        args: &[Arg],
        direction: Direction,
        show: &mut dyn FnMut(SampleRef<'_>),
    ) -> bool {
        self.fetch(txn, args, direction).is_some_and(|sample| {
            show(sample.as_ref());
            true
        })
    }
    /// Shows every value there is, as ACLs look at a header's, until `test` holds. `None`: there
    /// is none.
    fn scan(
        &self,
        txn: &mut Txn,
        args: &[Arg],
        direction: Direction,
        test: &mut dyn FnMut(SampleRef<'_>) -> bool,
    ) -> Option<bool> {
        self.fetch(txn, args, direction).map(|sample| test(sample.as_ref()))
    }
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
    fetch::register(registry);
    conv::register(registry);
    stick::register(registry);
}
