//! The class `Listener`.
//!
//! Source: lua-api "Listener class".

use crate::api::core::push_stats;
use crate::api::{Class, ClassDef, Method, to_string};
use crate::host;
use crate::raw::stack::{Flow, Ret, Stack};
use crate::value::Out;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Listener",
    methods: &[Method::new("get_stats", "(self)", get_stats)],
    lazy: None,
    attributes: &[],
    meta: &[to_string!("Listener")],
};

/// `proxy.listeners`: objects by name. An object's handle is its proxy's number; its name is in `[1]`.
pub(crate) fn table(proxy: &dyn host::Proxy) -> Out {
    let named = |(name, _): (String, host::Stats)| {
        let object =
            Out::Dressed(Class::Listener, proxy.uuid(), vec![(Out::Int(1), Out::text(name.as_str()))]);
        (Out::text(name), object)
    };
    Out::Table(proxy.listeners().into_iter().map(named).collect())
}

fn get_stats(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "get_stats")?;
    let uuid = stack.object(1, Class::Listener)?;
    stack.push_element(1, 1);
    let name = stack.text(-1)?;
    let core = stack.core();
    let proxy = core.proxies().and_then(|proxies| proxies.by_uuid(uuid));
    let stats = proxy.and_then(|proxy| proxy.listeners().into_iter().find(|(known, _)| *known == name));
    match stats {
        Some((_, stats)) => push_stats(stack, stats),
        None => Ok(Ret::Count(0)),
    }
}
