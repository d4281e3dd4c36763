//! The samples that scripts reach through `f`, `sf`, `c` and `sc`.

use std::{borrow::Cow, sync::Arc};

use hlua::host::{self, HostError, HostResult, SampleId, Value};
use proxy_core::{
    sample::{Converter, Fetch, Sample},
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
            fetches: registry.fetches.iter().filter(|(n, _)| own(n)).map(|(n, f)| (lua(n), f.clone())).collect(),
            converters: registry.converters.iter().filter(|(n, _)| own(n)).map(|(n, c)| (lua(n), c.clone())).collect(),
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

/// The script's words for a sample's arguments.
fn written(args: &[Value<'_>]) -> Vec<String> {
    args.iter().map(values::text).collect()
}

pub(super) fn refused(error: impl std::fmt::Display) -> HostError {
    HostError::Refused(Cow::Owned(error.to_string()))
}

pub(super) fn run_fetch(txn: &mut Txn, direction: Direction, id: SampleId, args: &[Value<'_>]) -> HostResult<Option<Sample>> {
    let catalog = Extension::of(&txn.worker).catalog.clone();
    let (_, fetch) = catalog.fetches.get(id.0 as usize).ok_or(HostError::Unsupported("sample fetch"))?;
    let words = written(args);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let args = fetch.args(&words).map_err(refused)?;
    Ok(fetch.fetch(txn, &args, direction))
}

pub(super) fn run_converter(txn: &mut Txn, id: SampleId, input: Value<'_>, args: &[Value<'_>]) -> HostResult<Option<Sample>> {
    let catalog = Extension::of(&txn.worker).catalog.clone();
    let (_, converter) = catalog.converters.get(id.0 as usize).ok_or(HostError::Unsupported("converter"))?;
    let words = written(args);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let args = converter.args(&words).map_err(refused)?;
    let Some(input) = values::from_lua(input).cast(converter.input()) else { return Ok(None) };
    Ok(converter.convert(txn, input, &args))
}

