//! What crosses the edge: samples as both sides have them, errors, futures.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// A future that stays on its thread.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A sample at the edge: what a fetch yields, a converter takes, a variable holds, a Lua function returns.
///
/// Lua numbers are integers here (a float with a fraction becomes 0 as in HAProxy); tables, functions and nil
/// become `Bool(false)` where HAProxy does so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// True or false. Scripts see 0 and 1 unless `tune.lua.bool-sample-conversion normal` is set.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// Text or binary.
    Str(Cow<'a, [u8]>),
    /// An address; a string for scripts.
    Ip(IpAddr),
}

impl Value<'_> {
    /// The same value, owning its bytes.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Bool(b) => Value::Bool(b),
            Value::Int(i) => Value::Int(i),
            Value::Str(s) => Value::Str(Cow::Owned(s.into_owned())),
            Value::Ip(ip) => Value::Ip(ip),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Str(Cow::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Str(Cow::Borrowed(bytes))
    }
}

impl From<i64> for Value<'_> {
    fn from(int: i64) -> Self {
        Value::Int(int)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

/// Why the host did not do as asked. Reaches the script as a Lua error with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The host has no such thing at all.
    #[error("{0}: not available on this host")]
    Unsupported(&'static str),
    /// The host has it and refused; the text is for the script's author.
    #[error("{0}")]
    Refused(Cow<'static, str>),
}

/// The result of a host call that a script sees.
pub type HostResult<T> = Result<T, HostError>;
