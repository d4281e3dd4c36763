//! A handful of sample fetches and converters, enough for HAProxy's own examples.

use std::borrow::Cow;

use super::txn::MemoryStream;
use crate::host::{Catalog, HostError, HostResult, SampleId, Value};

/// The names this host knows.
pub struct MemoryCatalog;

const FETCHES: [&str; 10] =
    ["req.hdr", "req.fhdr", "path", "method", "src", "url", "ssl_fc", "date", "var", "refused"];
const CONVERTERS: [&str; 5] = ["upper", "lower", "sdbm", "length", "concat"];

impl Catalog for MemoryCatalog {
    fn fetch(&self, lua_name: &str) -> Option<SampleId> {
        find(&FETCHES, lua_name)
    }

    fn converter(&self, lua_name: &str) -> Option<SampleId> {
        find(&CONVERTERS, lua_name)
    }
}

fn find(names: &[&str], lua_name: &str) -> Option<SampleId> {
    let at = names.iter().position(|name| name.replace(['.', '-', '+'], "_") == lua_name)?;
    Some(SampleId(u32::try_from(at).ok()?))
}

pub(super) fn fetch<'a>(
    stream: &'a mut MemoryStream,
    fetch: SampleId,
    args: &[Value<'_>],
) -> HostResult<Option<Value<'a>>> {
    let arg = args.first().map(text);
    let borrowed = |bytes: &'a [u8]| Some(Value::Str(Cow::Borrowed(bytes)));
    Ok(match FETCHES[fetch.0 as usize] {
        "req.hdr" | "req.fhdr" => {
            let Some(name) = arg else { return Ok(None) };
            let found =
                stream.request_headers.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(&name));
            found.and_then(|(_, value)| borrowed(value))
        }
        "path" => borrowed(stream.uri.split(|byte| *byte == b'?').next().unwrap_or_default()),
        "method" => borrowed(&stream.method),
        "src" => Some(Value::Ip(stream.source)),
        "url" => borrowed(&stream.uri),
        "ssl_fc" => Some(Value::Bool(false)),
        "date" => Some(Value::Int(1_700_000_000)),
        "var" => arg.and_then(|name| stream.variables.get(&name)).cloned(),
        _ => return Err(HostError::Refused("this fetch refuses".into())),
    })
}

pub(super) fn convert(converter: SampleId, input: &Value<'_>, args: &[Value<'_>]) -> Option<Value<'static>> {
    let input = text(input);
    Some(match CONVERTERS[converter.0 as usize] {
        "upper" => Value::Str(Cow::Owned(input.to_ascii_uppercase())),
        "lower" => Value::Str(Cow::Owned(input.to_ascii_lowercase())),
        "length" => Value::Int(input.len() as i64),
        "concat" => Value::Str(Cow::Owned([input, args.first().map(text).unwrap_or_default()].concat())),
        _ => {
            let hash = input.iter().fold(0u32, |hash, byte| {
                u32::from(*byte).wrapping_add(hash << 6).wrapping_add(hash << 16).wrapping_sub(hash)
            });
            Value::Int(hash.into())
        }
    })
}

fn text(value: &Value<'_>) -> Vec<u8> {
    match value {
        Value::Bool(flag) => vec![if *flag { b'1' } else { b'0' }],
        Value::Int(int) => int.to_string().into_bytes(),
        Value::Str(bytes) => bytes.to_vec(),
        Value::Ip(ip) => ip.to_string().into_bytes(),
    }
}
