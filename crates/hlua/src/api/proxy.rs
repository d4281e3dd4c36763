//! The class `Proxy`, and the lists `core.proxies`, `core.frontends`, `core.backends`.
//!
//! An object holds the proxy's number; a proxy that is gone answers nil.
//!
//! Source: lua-api "Proxy class".

use std::rc::Rc;

use crate::api::core::push_stats;
use crate::api::{Class, ClassDef, Method, to_string};
use crate::host::{self, ProxyCommand};
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::value::Out;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Proxy",
    methods: &[
        Method::new("get_name", "(self)", |stack| text(stack, |proxy| proxy.name())),
        Method::new("get_uuid", "(self)", |stack| text(stack, |proxy| proxy.uuid().to_string())),
        Method::new("get_mode", "(self)", |stack| text(stack, |proxy| proxy.mode())),
        Method::new("get_cap", "(self)", |stack| text(stack, |proxy| capability(proxy).to_string())),
        Method::new("get_srv_act", "(self)", |stack| number(stack, |proxy| proxy.usable_servers().0)),
        Method::new("get_srv_bck", "(self)", |stack| number(stack, |proxy| proxy.usable_servers().1)),
        Method::new("get_stats", "(self)", get_stats),
        Method::new("get_mailers", "(self)", super::mailers::get),
        Method::new("pause", "(self)", |stack| command(stack, ProxyCommand::Pause)),
        Method::new("resume", "(self)", |stack| command(stack, ProxyCommand::Resume)),
        Method::new("stop", "(self)", |stack| command(stack, ProxyCommand::Stop)),
        Method::new("shut_bcksess", "(self)", |stack| command(stack, ProxyCommand::ShutBackupSessions)),
    ],
    lazy: None,
    attributes: &[
        ("name", "string"),
        ("uuid", "string"),
        ("servers", "list of Server by name"),
        ("listeners", "table of Listener by name"),
        ("stktable", "StickTable, or nil"),
    ],
    meta: &[to_string!("Proxy")],
};

pub(crate) const LIST: ClassDef = ClassDef {
    name: "ProxyList",
    methods: &[],
    lazy: None,
    attributes: &[],
    meta: &[
        Method::new("__index", "(self, name)", list_index),
        Method::new("__newindex", "(self, name, value)", |_| Ok(Ret::Count(0))),
        Method::new("__pairs", "(self)", list_pairs),
        to_string!("ProxyList"),
    ],
};

/// The handles of the three lists.
pub(crate) const LIST_ALL: i64 = 0;
pub(crate) const LIST_FRONTENDS: i64 = 1;
pub(crate) const LIST_BACKENDS: i64 = 2;

fn listed(stack: &mut Stack<'_>) -> Result<Vec<Rc<dyn host::Proxy>>, Failure> {
    let list = stack.object(1, Class::ProxyList)?;
    let core = stack.core();
    let Some(proxies) = core.proxies() else { return Ok(Vec::new()) };
    let mut all = proxies.list();
    all.retain(|proxy| match (list, proxy.capabilities()) {
        (LIST_FRONTENDS, (frontend, _)) => frontend,
        (LIST_BACKENDS, (_, backend)) => backend,
        _ => true,
    });
    // A frontend hides a backend of the same name.
    all.sort_by_key(|proxy| !proxy.capabilities().0);
    Ok(all)
}

fn list_index(stack: &mut Stack<'_>) -> Flow {
    let name = stack.text(2)?;
    match listed(stack)?.iter().find(|proxy| proxy.name() == name) {
        Some(proxy) => push(stack, &**proxy)?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

/// `pairs` over a plain table made for the occasion.
fn list_pairs(stack: &mut Stack<'_>) -> Flow {
    let proxies = listed(stack)?;
    let pairs = proxies.iter().rev().map(|proxy| (Out::text(proxy.name()), out(&**proxy))).collect();
    push_pairs(stack, pairs)
}

/// Leaves `next, table, nil`, what `pairs` needs.
pub(crate) fn push_pairs(stack: &mut Stack<'_>, pairs: Vec<(Out, Out)>) -> Flow {
    stack.push_global(c"next");
    stack.push_out(&Out::Table(pairs))?;
    stack.push_nil();
    Ok(Ret::Count(3))
}

/// A proxy as an object.
pub(crate) fn out(proxy: &dyn host::Proxy) -> Out {
    let mut fields = vec![
        (Out::text("name"), Out::text(proxy.name())),
        (Out::text("uuid"), Out::text(proxy.uuid().to_string())),
        (Out::text("servers"), Out::Object(Class::ServerList, proxy.uuid())),
        (Out::text("listeners"), super::listener::table(proxy)),
    ];
    if proxy.stick_table().is_some() {
        fields.push((Out::text("stktable"), Out::Object(Class::StickTable, proxy.uuid())));
    }
    Out::Dressed(Class::Proxy, proxy.uuid(), fields)
}

pub(crate) fn push(stack: &mut Stack<'_>, proxy: &dyn host::Proxy) -> Result<(), Failure> {
    stack.push_out(&out(proxy))
}

pub(crate) fn find(stack: &mut Stack<'_>) -> Result<Option<Rc<dyn host::Proxy>>, Failure> {
    let uuid = stack.object(1, Class::Proxy)?;
    let core = stack.core();
    Ok(core.proxies().and_then(|proxies| proxies.by_uuid(uuid)))
}

fn text(stack: &mut Stack<'_>, read: fn(&dyn host::Proxy) -> String) -> Flow {
    match find(stack)? {
        Some(proxy) => stack.push_bytes(read(&*proxy).as_bytes())?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn number(stack: &mut Stack<'_>, read: fn(&dyn host::Proxy) -> i64) -> Flow {
    match find(stack)? {
        Some(proxy) => stack.push_int(read(&*proxy)),
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn get_stats(stack: &mut Stack<'_>) -> Flow {
    match find(stack)? {
        Some(proxy) => push_stats(stack, proxy.stats()),
        None => Ok(Ret::Count(0)),
    }
}

fn command(stack: &mut Stack<'_>, command: ProxyCommand) -> Flow {
    if let Some(proxy) = find(stack)? {
        proxy.command(command)?;
    }
    Ok(Ret::Count(0))
}

fn capability(proxy: &dyn host::Proxy) -> &'static str {
    match proxy.capabilities() {
        (true, true) => "proxy",
        (true, false) => "frontend",
        (false, true) => "backend",
        (false, false) => "none",
    }
}
