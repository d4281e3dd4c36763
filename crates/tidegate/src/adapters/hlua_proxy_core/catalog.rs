//! The samples that scripts reach through `f`, `sf`, `c` and `sc`.

use std::{borrow::Cow, cell::RefCell, rc::Rc, sync::Arc};

use hlua::host::{self, HostError, HostResult, SampleId, Value};
use proxy_core::{
    cfgparse::ParseError,
    sample::{Arg, Converter, Fetch, Sample},
    txn::{Direction, Txn},
};

use crate::adapters::{Extension, values};

/// Every fetch and converter of the configuration's tables that is not a script's own.
#[derive(Default)]
pub struct Catalog {
    fetches: Vec<(String, Arc<dyn Fetch>)>,
    converters: Vec<(String, Arc<dyn Converter>)>,
}

impl Catalog {
    /// Everything in the tables, but what scripts themselves registered.
    #[must_use]
    pub fn new(registry: &proxy_core::registry::Registry) -> Self {
        let own = |name: &&String| !name.starts_with("lua.");
        let lua = |name: &String| name.replace(['.', '-', '+'], "_");
        Self {
            fetches: registry
                .fetches
                .iter()
                .filter(|(n, _)| own(n))
                .map(|(n, f)| (lua(n), f.clone()))
                .collect(),
            converters: registry
                .converters
                .iter()
                .filter(|(n, _)| own(n))
                .map(|(n, c)| (lua(n), c.clone()))
                .collect(),
        }
    }
}

impl host::Catalog for Catalog {
    fn fetch(&self, lua_name: &str) -> Option<SampleId> {
        position(&self.fetches, lua_name)
    }

    fn converter(&self, lua_name: &str) -> Option<SampleId> {
        position(&self.converters, lua_name)
    }
}

fn position<T>(table: &[(String, T)], name: &str) -> Option<SampleId> {
    let at = table.iter().position(|(known, _)| known == name)?;
    u32::try_from(at).ok().map(SampleId)
}

/// What a worker's scripts gave samples for arguments lately, compiled: a call site mostly gives
/// the same again.
#[derive(Default)]
pub struct Compiled(RefCell<Vec<Vec<Call>>>);

/// Arguments as given and compiled.
struct Call {
    given: Box<[Value<'static>]>,
    args: Rc<[Arg]>,
}

impl Compiled {
    fn get(
        &self,
        SampleId(id): SampleId,
        given: &[Value<'_>],
        compile: impl FnOnce(&[&str]) -> Result<Vec<Arg>, ParseError>,
    ) -> HostResult<Rc<[Arg]>> {
        let mut samples = self.0.borrow_mut();
        let at = id as usize;
        if samples.len() <= at {
            samples.resize_with(at + 1, Vec::new);
        }
        let calls = &mut samples[at];
        if let Some(call) = calls.iter().find(|call| *call.given == *given) {
            return Ok(call.args.clone());
        }
        let words: Vec<String> = given.iter().map(values::text).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let args: Rc<[Arg]> = compile(&words).map_err(refused)?.into();
        if calls.len() == CALLS_MAX {
            calls.remove(0);
        }
        let given = given.iter().map(|value| value.clone().into_owned()).collect();
        calls.push(Call { given, args: args.clone() });
        Ok(args)
    }
}

/// So many sets of arguments are kept for each sample.
const CALLS_MAX: usize = 8;

pub(super) fn refused(error: impl std::fmt::Display) -> HostError {
    HostError::Refused(Cow::Owned(error.to_string()))
}

pub(super) fn run_fetch<'a>(
    txn: &mut Txn,
    direction: Direction,
    id: SampleId,
    args: &[Value<'_>],
    scratch: &'a mut Vec<u8>,
) -> HostResult<Option<Value<'a>>> {
    let worker = txn.worker.clone();
    let extension = Extension::of(&worker);
    let fetch = extension.catalog.fetches.get(id.0 as usize);
    let (_, fetch) = fetch.ok_or(HostError::Unsupported("sample fetch"))?;
    let args = extension.fetch_calls.get(id, args, |words| fetch.args(words))?;
    let mut scalar = None;
    let there = fetch.peek(txn, &args, direction, &mut |sample| scalar = values::put(sample, scratch));
    Ok(there.then(|| scalar.unwrap_or(Value::Str(Cow::Borrowed(scratch)))))
}

pub(super) fn run_converter(
    txn: &mut Txn,
    id: SampleId,
    input: Value<'_>,
    args: &[Value<'_>],
) -> HostResult<Option<Sample>> {
    let worker = txn.worker.clone();
    let extension = Extension::of(&worker);
    let converter = extension.catalog.converters.get(id.0 as usize);
    let (_, converter) = converter.ok_or(HostError::Unsupported("converter"))?;
    let args = extension.converter_calls.get(id, args, |words| converter.args(words))?;
    let Some(input) = values::from_lua(input).cast(converter.input()) else { return Ok(None) };
    Ok(converter.convert(txn, input, &args))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Str(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn arguments_are_compiled_once_for_each_set_of_them() {
        let compiled = Compiled::default();
        let runs = Cell::new(0);
        let get = |sample: u32, given: &[Value<'_>]| {
            let args = compiled.get(SampleId(sample), given, |words| {
                runs.set(runs.get() + 1);
                Ok(vec![Arg::Str(words.join("|"))])
            });
            args.unwrap().to_vec()
        };
        for _ in 0..3 {
            assert_eq!(get(1, &[text("host"), Value::Int(1)]), [Arg::Str("host|1".to_owned())]);
            assert_eq!(get(1, &[text("host"), text("2")]), [Arg::Str("host|2".to_owned())]);
            assert_eq!(get(0, &[]), [Arg::Str(String::new())]);
        }
        assert_eq!(runs.get(), 3);
        for n in 0..100 {
            assert_eq!(get(1, &[Value::Int(n)]), [Arg::Str(n.to_string())]);
        }
        assert_eq!(compiled.0.borrow()[1].len(), CALLS_MAX);
    }

    #[test]
    fn refused_arguments_are_refused_again() {
        let compiled = Compiled::default();
        let refuse = || compiled.get(SampleId(0), &[], |_| Err(ParseError::new("no".to_owned()))).is_err();
        assert!(refuse() && refuse());
    }
}
