//! Running a script's functions: actions, fetches, converters, services, a piece of Lua.

use mlua::{Lua, Value as Lv};

use super::arguments::{rest, table, text, txn_of};
use super::names::{action_word, bytes, header_table, to_host, to_test};
use super::streams::{self, TestTxn};
use super::subject::{Results, Subject, userdata, wrong};
use crate::context::ContextKind;
use crate::execution::Execution;
use crate::host::Lent;
use crate::host::memory::{MemoryAppletHttp, MemoryAppletTcp};
use crate::{FunctionKind, ServiceMode};

const ACTION: FunctionKind = FunctionKind::Action { contexts: Vec::new(), nb_args: 0 };

pub(super) fn make_txn(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let description = match table(args, 0)? {
        Some(table) => table,
        None => lua.create_table().map_err(wrong)?,
    };
    userdata(lua, TestTxn::new(streams::make(lua, &subject.core.catalog, &description)?))
}

pub(super) fn action(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let (name, txn) = (text(args, 0)?, txn_of(args, 1)?);
    subject.has(&ACTION, &name, rest(args, 2).len())?;
    let (lent, result) = subject.run_site(&ACTION, &name, rest(args, 2), Lent::Txn(txn.take()?))?;
    let back = lent.into_any().and_then(|any| any.downcast().ok());
    txn.put_back(back.ok_or("the txn did not come back")?);
    let outcome = result?;
    let table = lua.create_table().map_err(wrong)?;
    let fill = || {
        table.set("code", outcome.action_code())?;
        table.set("verdict", if outcome.done { "done" } else { action_word(outcome.action_code()) })?;
        table.set("done", outcome.done)?;
        table.set("wake_ms", outcome.wake_after.map(|after| after.as_millis() as i64))
    };
    fill().map_err(wrong)?;
    Ok(vec![Lv::Table(table)])
}

pub(super) fn fetch(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let (name, txn) = (text(args, 0)?, txn_of(args, 1)?);
    let given = rest(args, 2).iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
    let given: Vec<&[u8]> = given.iter().map(Vec::as_slice).collect();
    subject.has(&FunctionKind::Fetch, &name, given.len())?;
    let site = subject.runtime.call_site(&FunctionKind::Fetch, &name, &given);
    let site = site.map_err(|error| error.to_string())?;
    let now = crate::host::Core::now(&*subject.core);
    let (back, result) = subject.runtime.fetch(site, txn.take()?, now);
    let back: Box<dyn std::any::Any> = back;
    txn.put_back(back.downcast().map_err(|_| "the txn did not come back")?);
    sample(lua, result.map_err(|error| subject.explain(&error))?)
}

pub(super) fn convert(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let (name, input) = (text(args, 0)?, args.get(1).cloned().unwrap_or(Lv::Nil));
    let given = rest(args, 2).iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
    let given: Vec<&[u8]> = given.iter().map(Vec::as_slice).collect();
    subject.has(&FunctionKind::Converter, &name, given.len())?;
    let site = subject.runtime.call_site(&FunctionKind::Converter, &name, &given);
    let site = site.map_err(|error| error.to_string())?;
    let input = to_host(&input)?.ok_or("a converter needs an input")?;
    let now = crate::host::Core::now(&*subject.core);
    let result = subject.runtime.convert(site, input, now);
    sample(lua, result.map_err(|error| subject.explain(&error))?)
}

fn sample(lua: &Lua, value: Option<crate::host::Value<'static>>) -> Results {
    let value = value.map_or(Ok(Lv::Nil), |value| to_test(lua, &value)).map_err(wrong)?;
    Ok(vec![value])
}

pub(super) fn service(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let name = text(args, 0)?;
    let request = match table(args, 1)? {
        Some(table) => table,
        None => lua.create_table().map_err(wrong)?,
    };
    streams::only(&request, &["method", "path", "uri", "headers", "body", "vars", "src", "fetches"])?;
    let body = match request.get::<Lv>("body").map_err(wrong)? {
        Lv::Nil => Vec::new(),
        Lv::Table(pieces) => {
            pieces.sequence_values::<String>().collect::<mlua::Result<_>>().map_err(wrong)?
        }
        one => vec![String::from_utf8_lossy(&bytes(&one)?).into_owned()],
    };
    let pieces: Vec<&str> = body.iter().map(String::as_str).collect();
    let describe = lua.create_table().map_err(wrong)?;
    for pair in request.pairs::<String, Lv>() {
        let (key, value) = pair.map_err(wrong)?;
        if key != "body" {
            describe.set(key, value).map_err(wrong)?;
        }
    }
    let mut applet = MemoryAppletHttp::new("GET", "/", &[], &pieces);
    applet.stream = streams::make(lua, &subject.core.catalog, &describe)?.stream;
    let kind = FunctionKind::Service(ServiceMode::Http);
    let (lent, result) = subject.run_site(&kind, &name, &[], Lent::AppletHttp(applet))?;
    result?;
    let back: Option<Box<MemoryAppletHttp>> = lent.into_any().and_then(|any| any.downcast().ok());
    let applet = back.ok_or("the applet did not come back")?;
    let response = lua.create_table().map_err(wrong)?;
    let fill = || {
        response.set("status", applet.status.0)?;
        response.set("reason", lua.create_string(&applet.status.1)?)?;
        response.set("headers", header_table(lua, &applet.response_headers)?)?;
        response.set("body", lua.create_string(applet.body())?)?;
        response.set("started", applet.started)
    };
    fill().map_err(wrong)?;
    Ok(vec![Lv::Table(response)])
}

pub(super) fn tcp_service(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let name = text(args, 0)?;
    let input = rest(args, 1).iter().map(|piece| text(std::slice::from_ref(piece), 0));
    let input = input.collect::<Result<Vec<_>, _>>()?;
    let pieces: Vec<&str> = input.iter().map(String::as_str).collect();
    let mut applet = MemoryAppletTcp::new(&pieces);
    subject.core.catalog.tell(&mut applet.stream);
    let kind = FunctionKind::Service(ServiceMode::Tcp);
    let (lent, result) = subject.run_site(&kind, &name, &[], Lent::AppletTcp(applet))?;
    result?;
    let back: Option<Box<MemoryAppletTcp>> = lent.into_any().and_then(|any| any.downcast().ok());
    let applet = back.ok_or("the applet did not come back")?;
    Ok(vec![Lv::String(lua.create_string(applet.sent()).map_err(wrong)?)])
}

/// Runs a piece of Lua in the script's VM, as a task would run, and gives its first result: plain data or a table.
pub(super) fn eval(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let source = text(args, 0)?;
    let wrapped = format!("return (require('json').encode(((function(...) {source}\nend)(...))))");
    let chunk = subject.runtime.compile("(eval)", wrapped.as_bytes()).map_err(|error| error.to_string())?;
    let mut execution = Execution::of_values(subject.runtime.clone(), ContextKind::Task, chunk, Vec::new());
    let outcome = subject.finish(&mut execution, Lent::Nothing).1?;
    let encoded = match outcome.values.into_iter().next() {
        Some(crate::host::Value::Str(bytes)) => bytes.into_owned(),
        _ => return Ok(vec![Lv::Nil]),
    };
    Ok(vec![super::tree::to_test(lua, &encoded).map_err(wrong)?])
}
