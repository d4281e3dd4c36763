//! The class `Server`, and the lists `proxy.servers`.
//!
//! An object holds a number for the server's identity (proxy, id, revision), so one that was deleted and made again
//! is not mistaken for its successor: getters answer nil and setters do nothing.
//!
//! Source: lua-api "Server class".

use std::rc::Rc;

use crate::api::core::push_stats;
use crate::api::proxy::push_pairs;
use crate::api::{Class, ClassDef, Method, to_string};
use crate::host::{self, HostError, ServerCommand as C};
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::value::Out;
use crate::vm::VmState;

pub(crate) const CLASS: ClassDef = ClassDef {
    name: "Server",
    methods: &[
        Method::new("get_name", "(self)", |stack| text(stack, |server| server.name())),
        Method::new("get_puid", "(self)", |stack| text(stack, |server| server.puid().to_string())),
        Method::new("get_rid", "(self)", |stack| text(stack, |server| server.rid().to_string())),
        Method::new("is_draining", "(self)", |stack| flag(stack, |server| server.is_draining())),
        Method::new("is_backup", "(self)", |stack| flag(stack, |server| server.is_backup())),
        Method::new("is_dynamic", "(self)", |stack| flag(stack, |server| server.is_dynamic())),
        Method::new("get_cur_sess", "(self)", |stack| number(stack, |server| server.current_sessions())),
        Method::new("get_pend_conn", "(self)", |stack| number(stack, |server| server.pending_connections())),
        Method::new("set_maxconn", "(self, maxconn)", set_maxconn),
        Method::new("get_maxconn", "(self)", |stack| number(stack, |server| server.maxconn())),
        Method::new("set_weight", "(self, weight)", set_weight),
        Method::new("get_weight", "(self)", |stack| number(stack, |server| server.weight())),
        Method::new("set_addr", "(self, addr [, port])", set_addr),
        Method::new("get_addr", "(self)", |stack| text(stack, |server| server.address())),
        Method::new("get_stats", "(self)", get_stats),
        Method::new("get_proxy", "(self)", get_proxy),
        Method::new("shut_sess", "(self)", |stack| command(stack, "shut_sess", C::ShutSessions)),
        Method::new("set_drain", "(self)", |stack| command(stack, "set_drain", C::Drain)),
        Method::new("set_maint", "(self)", |stack| command(stack, "set_maint", C::Maint)),
        Method::new("set_ready", "(self)", |stack| command(stack, "set_ready", C::Ready)),
        Method::new("check_enable", "(self)", |stack| command(stack, "check_enable", C::CheckEnable)),
        Method::new("check_disable", "(self)", |stack| command(stack, "check_disable", C::CheckDisable)),
        Method::new("check_force_up", "(self)", |stack| command(stack, "check_force_up", C::CheckForceUp)),
        Method::new("check_force_nolb", "(self)", |stack| {
            command(stack, "check_force_nolb", C::CheckForceNolb)
        }),
        Method::new("check_force_down", "(self)", |stack| {
            command(stack, "check_force_down", C::CheckForceDown)
        }),
        Method::new("agent_enable", "(self)", |stack| command(stack, "agent_enable", C::AgentEnable)),
        Method::new("agent_disable", "(self)", |stack| command(stack, "agent_disable", C::AgentDisable)),
        Method::new("agent_force_up", "(self)", |stack| command(stack, "agent_force_up", C::AgentForceUp)),
        Method::new("agent_force_down", "(self)", |stack| {
            command(stack, "agent_force_down", C::AgentForceDown)
        }),
        Method::new("tracking", "(self)", tracking),
        Method::new("get_trackers", "(self)", get_trackers),
        Method::new("event_sub", "(self, event_types, func)", super::event_sub::server_event_sub),
    ],
    lazy: None,
    attributes: &[("name", "string"), ("puid", "string")],
    meta: &[to_string!("Server")],
};

pub(crate) const LIST: ClassDef = ClassDef {
    name: "ServerList",
    methods: &[],
    lazy: None,
    attributes: &[],
    meta: &[
        Method::new("__index", "(self, name)", list_index),
        Method::new("__newindex", "(self, name, value)", |_| Ok(Ret::Count(0))),
        Method::new("__pairs", "(self)", list_pairs),
        to_string!("ServerList"),
    ],
};

fn listed(stack: &mut Stack<'_>) -> Result<Vec<Rc<dyn host::Server>>, Failure> {
    let uuid = stack.object(1, Class::ServerList)?;
    let core = stack.core();
    let proxy = core.proxies().and_then(|proxies| proxies.by_uuid(uuid));
    Ok(proxy.map(|proxy| proxy.servers()).unwrap_or_default())
}

fn list_index(stack: &mut Stack<'_>) -> Flow {
    let name = stack.text(2)?;
    match listed(stack)?.iter().find(|server| server.name() == name) {
        Some(server) => push(stack, &**server)?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn list_pairs(stack: &mut Stack<'_>) -> Flow {
    let servers = listed(stack)?;
    let vm = stack.vm();
    let pairs = servers.iter().map(|server| (Out::text(server.name()), out(vm, &**server))).collect();
    push_pairs(stack, pairs)
}

/// A server as an object.
pub(crate) fn out(vm: &VmState, server: &dyn host::Server) -> Out {
    let key = (server.proxy().uuid(), server.puid(), server.rid());
    let number = vm.servers.borrow_mut().number(key);
    Out::Dressed(
        Class::Server,
        number,
        vec![
            (Out::Name("name"), Out::text(server.name())),
            (Out::Name("puid"), Out::text(server.puid().to_string())),
        ],
    )
}

fn push(stack: &mut Stack<'_>, server: &dyn host::Server) -> Result<(), Failure> {
    let out = out(stack.vm(), server);
    stack.push_out(&out)
}

/// The scope of events of the server at argument 1.
pub(crate) fn scope(stack: &mut Stack<'_>) -> Result<Option<host::Scope>, Failure> {
    let number = stack.object(1, Class::Server)?;
    let key = stack.vm().servers.borrow().key(number);
    Ok(key.map(|(proxy_uuid, puid, rid)| host::Scope::Server { proxy_uuid, puid, rid }))
}

fn find(stack: &mut Stack<'_>) -> Result<Option<Rc<dyn host::Server>>, Failure> {
    let number = stack.object(1, Class::Server)?;
    let Some((proxy, puid, rid)) = stack.vm().servers.borrow().key(number) else { return Ok(None) };
    let core = stack.core();
    Ok(core.proxies().and_then(|proxies| proxies.server(proxy, puid, rid)))
}

fn text(stack: &mut Stack<'_>, read: fn(&dyn host::Server) -> String) -> Flow {
    match find(stack)? {
        Some(server) => stack.push_bytes(read(&*server).as_bytes())?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn number(stack: &mut Stack<'_>, read: fn(&dyn host::Server) -> i64) -> Flow {
    match find(stack)? {
        Some(server) => stack.push_int(read(&*server)),
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn flag(stack: &mut Stack<'_>, read: fn(&dyn host::Server) -> bool) -> Flow {
    match find(stack)? {
        Some(server) => stack.push_bool(read(&*server)),
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

/// Runs a command; what it reports is of no interest.
fn command(stack: &mut Stack<'_>, name: &str, command: C) -> Flow {
    stack.need(1, name)?;
    if let Some(server) = find(stack)? {
        server.command(command)?;
    }
    Ok(Ret::Count(0))
}

/// Runs a command whose refusal is the script's to read: nil for success, else the text.
fn change(stack: &mut Stack<'_>, command: C, report_success: bool) -> Flow {
    let Some(server) = find(stack)? else { return Ok(Ret::Count(0)) };
    let text = match server.command(command) {
        Ok(text) => report_success.then_some(text),
        Err(HostError::Refused(text)) => Some(text.into_owned()),
        Err(error) => return Err(error.into()),
    };
    match text {
        Some(text) => stack.push_bytes(text.trim_end().as_bytes())?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn set_maxconn(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "set_maxconn")?;
    let text = stack.text(2)?;
    change(stack, C::Maxconn(text), false)
}

fn set_weight(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "set_weight")?;
    let text = stack.text(2)?;
    change(stack, C::Weight(text), false)
}

fn set_addr(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(2, 3, "set_addr")?;
    let address = stack.text(2)?;
    let port = if stack.is_nil(3) { None } else { Some(stack.text(3)?) };
    change(stack, C::Address(address, port), true)
}

fn get_stats(stack: &mut Stack<'_>) -> Flow {
    match find(stack)? {
        Some(server) => push_stats(stack, server.stats()),
        None => Ok(Ret::Count(0)),
    }
}

fn get_proxy(stack: &mut Stack<'_>) -> Flow {
    match find(stack)? {
        Some(server) => super::proxy::push(stack, &*server.proxy())?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn tracking(stack: &mut Stack<'_>) -> Flow {
    let Some(server) = find(stack)? else { return Ok(Ret::Count(0)) };
    match server.tracking() {
        Some(tracked) => push(stack, &*tracked)?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn get_trackers(stack: &mut Stack<'_>) -> Flow {
    let Some(server) = find(stack)? else { return Ok(Ret::Count(0)) };
    let vm = stack.vm();
    let list = server.trackers().iter().map(|tracker| out(vm, &**tracker)).collect();
    stack.push_out(&Out::List(list))?;
    Ok(Ret::Count(1))
}
