//! One value in three crates: sample, Lua value, SPOP typed data.

use std::borrow::Cow;

use hlua::host::Value;
use proxy_core::{
    admin::stat::Value as Stat,
    sample::{Sample, SampleRef},
};

/// A sample as a script sees it.
#[must_use]
pub fn to_lua(sample: Sample) -> Value<'static> {
    match sample {
        Sample::Bool(flag) => Value::Bool(flag),
        Sample::Int(number) => Value::Int(number),
        Sample::Addr(addr) => Value::Ip(addr),
        Sample::Str(bytes) | Sample::Bin(bytes) | Sample::Method(bytes) => Value::Str(Cow::Owned(bytes)),
        _ => Value::Str(Cow::Borrowed(b"")),
    }
}

/// The same, borrowing the bytes.
#[must_use]
pub fn to_lua_borrowed(sample: &Sample) -> Value<'_> {
    match sample {
        Sample::Str(bytes) | Sample::Bin(bytes) | Sample::Method(bytes) => Value::Str(Cow::Borrowed(bytes)),
        other => to_lua(other.clone()),
    }
}

/// A sample for a script: what is no text, or `None` with the text in `scratch`.
#[must_use]
pub fn put(sample: SampleRef<'_>, scratch: &mut Vec<u8>) -> Option<Value<'static>> {
    scratch.clear();
    match sample {
        SampleRef::Bool(flag) => Some(Value::Bool(flag)),
        SampleRef::Int(number) => Some(Value::Int(number)),
        SampleRef::Addr(addr) => Some(Value::Ip(addr)),
        SampleRef::Str(bytes) | SampleRef::Bin(bytes) | SampleRef::Method(bytes) => {
            scratch.extend_from_slice(bytes);
            None
        }
    }
}

/// A script's value as a sample.
#[must_use]
pub fn from_lua(value: Value<'_>) -> Sample {
    match value {
        Value::Bool(flag) => Sample::Bool(flag),
        Value::Int(number) => Sample::Int(number),
        Value::Str(bytes) => Sample::Str(bytes.into_owned()),
        Value::Ip(addr) => Sample::Addr(addr),
    }
}

/// A value as text, as the configuration would spell it.
#[must_use]
pub fn text(value: &Value<'_>) -> String {
    match value {
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::Int(number) => number.to_string(),
        Value::Str(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Ip(addr) => addr.to_string(),
    }
}

/// A statistics value as a script sees it.
#[must_use]
pub fn from_stat(value: &Stat) -> Value<'static> {
    match value {
        Stat::Int(number) => Value::Int(i64::try_from(*number).unwrap_or(i64::MAX)),
        other => Value::Str(Cow::Owned(other.to_string().into_bytes())),
    }
}
