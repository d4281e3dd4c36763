//! A handful of sample fetches and converters, enough for HAProxy's own examples.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::txn::MemoryStream;
use crate::host::{Catalog, HostError, HostResult, SampleId, Value};

/// The names this host knows, and what a test puts in their place or beside them.
#[derive(Default)]
pub struct MemoryCatalog {
    stubs: Rc<Stubs>,
}

/// What a test answers for a fetch (with its arguments) or converter (with its input, then its arguments).
pub type Stub = Rc<dyn Fn(&[Value<'_>]) -> Option<Value<'static>>>;

/// Shared by the catalog and the streams that were told of it.
#[derive(Default)]
pub(super) struct Stubs {
    fetch_names: RefCell<Vec<String>>,
    converter_names: RefCell<Vec<String>>,
    fetches: RefCell<BTreeMap<SampleId, Stub>>,
    converters: RefCell<BTreeMap<SampleId, Stub>>,
}

const FETCHES: [&str; 10] =
    ["req.hdr", "req.fhdr", "path", "method", "src", "url", "ssl_fc", "date", "var", "refused"];
const CONVERTERS: [&str; 5] = ["upper", "lower", "sdbm", "length", "concat"];
/// Names that a test adds are numbered from here.
const ADDED: u32 = 1000;

impl Catalog for MemoryCatalog {
    fn fetch(&self, lua_name: &str) -> Option<SampleId> {
        find(&FETCHES, &self.stubs.fetch_names.borrow(), lua_name)
    }

    fn converter(&self, lua_name: &str) -> Option<SampleId> {
        find(&CONVERTERS, &self.stubs.converter_names.borrow(), lua_name)
    }
}

impl MemoryCatalog {
    /// Answers a fetch by `stub` on every stream that [knows](Self::tell) of this catalog. The name is written as in
    /// a configuration or as in a script.
    pub fn stub_fetch(&self, name: &str, stub: Stub) {
        let id = self.fetch_id(name);
        self.stubs.fetches.borrow_mut().insert(id, stub);
    }

    /// The same for a converter.
    pub fn stub_converter(&self, name: &str, stub: Stub) {
        let id = number(&CONVERTERS, &self.stubs.converter_names, name);
        self.stubs.converters.borrow_mut().insert(id, stub);
    }

    /// The number of a fetch, known from now on if it was not.
    pub fn fetch_id(&self, name: &str) -> SampleId {
        number(&FETCHES, &self.stubs.fetch_names, name)
    }

    /// Lets a stream answer by this catalog's stubs.
    pub fn tell(&self, stream: &mut MemoryStream) {
        stream.stubs = self.stubs.clone();
    }
}

fn lua_name(name: &str) -> String {
    name.replace(['.', '-', '+'], "_")
}

fn find(built_in: &[&str], added: &[String], name: &str) -> Option<SampleId> {
    let of_built_in = built_in.iter().position(|known| lua_name(known) == name);
    let of_added = || added.iter().position(|known| known == name).map(|at| at + ADDED as usize);
    Some(SampleId(u32::try_from(of_built_in.or_else(of_added)?).ok()?))
}

fn number(built_in: &[&str], added: &RefCell<Vec<String>>, name: &str) -> SampleId {
    let name = lua_name(name);
    let mut added = added.borrow_mut();
    find(built_in, &added, &name).unwrap_or_else(|| {
        added.push(name);
        SampleId(ADDED + u32::try_from(added.len() - 1).expect("invariant: tests name fewer samples"))
    })
}

pub(super) fn fetch<'a>(
    stream: &'a mut MemoryStream,
    fetch: SampleId,
    args: &[Value<'_>],
) -> HostResult<Option<Value<'a>>> {
    let own = stream.fetches.get(&fetch).cloned();
    if let Some(stub) = own.or_else(|| stream.stubs.fetches.borrow().get(&fetch).cloned()) {
        return Ok(stub(args));
    }
    let Some(name) = FETCHES.get(fetch.0 as usize) else { return Ok(None) };
    let arg = args.first().map(text);
    let borrowed = |bytes: &'a [u8]| Some(Value::Str(Cow::Borrowed(bytes)));
    Ok(match *name {
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

pub(super) fn convert(
    stream: &MemoryStream,
    converter: SampleId,
    input: Value<'_>,
    args: &[Value<'_>],
) -> Option<Value<'static>> {
    if let Some(stub) = stream.stubs.converters.borrow().get(&converter).cloned() {
        let all: Vec<Value<'_>> = std::iter::once(input).chain(args.iter().cloned()).collect();
        return stub(&all);
    }
    let input = text(&input);
    Some(match *CONVERTERS.get(converter.0 as usize)? {
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
