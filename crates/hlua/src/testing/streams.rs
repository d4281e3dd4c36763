//! The fake stream of a test: a TXN that it makes, lends to the script's functions, and reads afterwards.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{AnyUserData, Lua, Table, UserData, Value as Lv};

use super::names::{bytes, header_table, headers, to_host, to_test};
use crate::host::Stream as _;
use crate::host::memory::{MemoryCatalog, MemoryTxn, Stub};

/// A TXN; out while a script has it.
#[derive(Clone)]
pub(super) struct TestTxn(Rc<RefCell<Option<Box<MemoryTxn>>>>);

impl UserData for TestTxn {}

impl TestTxn {
    pub(super) fn new(txn: Box<MemoryTxn>) -> Self {
        TestTxn(Rc::new(RefCell::new(Some(txn))))
    }

    pub(super) fn take(&self) -> Result<Box<MemoryTxn>, String> {
        self.0.borrow_mut().take().ok_or_else(|| "the script has this txn now".to_owned())
    }

    pub(super) fn put_back(&self, txn: Box<MemoryTxn>) {
        *self.0.borrow_mut() = Some(txn);
    }

    fn with<R>(&self, f: impl FnOnce(&mut Box<MemoryTxn>) -> R) -> mlua::Result<R> {
        let mut txn = self.0.borrow_mut();
        txn.as_mut().map(f).ok_or_else(|| mlua::Error::runtime("the script has this txn now"))
    }
}

/// The stream that a table describes.
pub(super) fn make(lua: &Lua, catalog: &MemoryCatalog, table: &Table) -> Result<Box<MemoryTxn>, String> {
    let wrong = |error: mlua::Error| super::plain(&error);
    only(
        table,
        &["method", "path", "uri", "headers", "src", "vars", "fetches", "tcp", "status", "response_headers"],
    )?;
    let optional = |key: &str| table.get::<Option<Lv>>(key).map_err(wrong);
    let mut txn = match optional("tcp")? {
        Some(input) => MemoryTxn::tcp(&bytes(&input)?),
        None => MemoryTxn::request("GET", "/", &[]),
    };
    catalog.tell(&mut txn.stream);
    if let Some(method) = optional("method")? {
        txn.stream.method = bytes(&method)?;
    }
    if let Some(uri) = optional("uri")?.or(optional("path")?) {
        txn.stream.uri = bytes(&uri)?;
    }
    if let Some(source) = optional("src")? {
        let text = String::from_utf8_lossy(&bytes(&source)?).into_owned();
        txn.stream.source = text.parse().map_err(|_| format!("src: '{text}' is no address"))?;
    }
    txn.stream.request_headers = headers(table.get("headers").map_err(wrong)?)?;
    for (name, value) in pairs(table, "vars")? {
        if let Some(value) = to_host(&value)? {
            txn.stream.variables.insert(bytes(&name)?, value);
        }
    }
    for (name, value) in pairs(table, "fetches")? {
        let id = catalog.fetch_id(&String::from_utf8_lossy(&bytes(&name)?));
        txn.stream.fetches.insert(id, stub(lua, value)?);
    }
    let response_headers: Option<Table> = table.get("response_headers").map_err(wrong)?;
    if let Some(status) = table.get::<Option<u16>>("status").map_err(wrong)? {
        txn = txn.into_response(status, &[]);
        txn.response_headers = headers(response_headers)?;
    }
    Ok(txn)
}

fn pairs(table: &Table, key: &str) -> Result<Vec<(Lv, Lv)>, String> {
    let wrong = |error: mlua::Error| super::plain(&error);
    let Some(inner) = table.get::<Option<Table>>(key).map_err(wrong)? else { return Ok(Vec::new()) };
    inner.pairs::<Lv, Lv>().map(|pair| pair.map_err(wrong)).collect()
}

/// A misspelt key is an error, not a silent nothing.
pub(super) fn only(table: &Table, known: &[&str]) -> Result<(), String> {
    for pair in table.pairs::<Lv, Lv>() {
        let (key, _) = pair.map_err(|error| super::plain(&error))?;
        let key = String::from_utf8_lossy(&bytes(&key)?).into_owned();
        if !known.contains(&key.as_str()) {
            return Err(format!("unknown key '{key}'; known are: {}", known.join(", ")));
        }
    }
    Ok(())
}

/// What a test answers for a fetch or converter: a value, or a function of the arguments.
pub(super) fn stub(lua: &Lua, value: Lv) -> Result<Stub, String> {
    let Lv::Function(function) = value else {
        let value = to_host(&value)?;
        return Ok(Rc::new(move |_| value.clone()));
    };
    let lua = lua.weak();
    Ok(Rc::new(move |args| {
        let lua = lua.try_upgrade()?;
        let args: mlua::Result<mlua::MultiValue> = args.iter().map(|arg| to_test(&lua, arg)).collect();
        // A stub that fails gives no sample: its error would be the script's.
        let given: Lv = function.call(args.ok()?).ok()?;
        to_host(&given).ok().flatten()
    }))
}

/// Adds what reads and changes a TXN.
pub(super) fn install(lua: &Lua, host: &Table) -> mlua::Result<()> {
    let read = |name: &str, f: fn(&Lua, &mut MemoryTxn, Lv) -> mlua::Result<Lv>| {
        let function = lua.create_function(move |lua, (txn, arg): (AnyUserData, Lv)| {
            let txn = txn.borrow::<TestTxn>()?.clone();
            txn.with(|txn| f(lua, txn, arg))?
        })?;
        host.set(format!("txn_{name}"), function)
    };
    read("method", |lua, txn, _| text(lua, &txn.stream.method))?;
    read("uri", |lua, txn, _| text(lua, &txn.stream.uri))?;
    read("status", |_, txn, _| Ok(Lv::Integer(txn.status.0.into())))?;
    read("headers", |lua, txn, _| Ok(Lv::Table(header_table(lua, &txn.stream.request_headers)?)))?;
    read("response_headers", |lua, txn, _| Ok(Lv::Table(header_table(lua, &txn.response_headers)?)))?;
    read("var", |lua, txn, name| {
        let name = bytes(&name).map_err(mlua::Error::runtime)?;
        txn.stream.variables.get(&name).map_or(Ok(Lv::Nil), |value| to_test(lua, value))
    })?;
    read("log", |lua, txn, _| {
        let lines = lua.create_table()?;
        for (level, line) in &txn.stream.log {
            lines.push(format!("{}: {line}", crate::host::memory::level_name(*level)))?;
        }
        Ok(Lv::Table(lines))
    })?;
    read("sent", |lua, txn, _| text(lua, txn.channel_bytes().1))?;
    read("input", |lua, txn, _| text(lua, txn.channel_bytes().0))?;
    read("reply", reply)?;
    let set_var = |_: &Lua, (txn, name, value): (AnyUserData, mlua::LuaString, Lv)| {
        let value = to_host(&value).map_err(mlua::Error::runtime)?;
        let txn = txn.borrow::<TestTxn>()?.clone();
        txn.with(|txn| match value {
            Some(value) => drop(txn.set_var(&name.as_bytes(), value, false)),
            None => drop(txn.unset_var(&name.as_bytes())),
        })
    };
    host.set("txn_set_var", lua.create_function(set_var)?)?;
    let respond = |_: &Lua, (txn, status, lines): (AnyUserData, u16, Option<Table>)| {
        let lines = headers(lines).map_err(mlua::Error::runtime)?;
        let txn = txn.borrow::<TestTxn>()?.clone();
        let mut changed = txn.take().map_err(mlua::Error::runtime)?.into_response(status, &[]);
        changed.response_headers = lines;
        txn.put_back(changed);
        Ok(())
    };
    host.set("txn_respond", lua.create_function(respond)?)
}

fn text(lua: &Lua, bytes: &[u8]) -> mlua::Result<Lv> {
    Ok(Lv::String(lua.create_string(bytes)?))
}

/// What `txn:done` was given: nil if it was not called, an empty table for none.
fn reply(lua: &Lua, txn: &mut MemoryTxn, _: Lv) -> mlua::Result<Lv> {
    let Some(given) = &txn.reply else { return Ok(Lv::Nil) };
    let table = lua.create_table()?;
    if let Some(reply) = given {
        table.set("status", reply.status)?;
        table.set("body", lua.create_string(&reply.body)?)?;
        table.set("headers", header_table(lua, &reply.headers)?)?;
        if let Some(reason) = &reply.reason {
            table.set("reason", lua.create_string(reason)?)?;
        }
    }
    Ok(Lv::Table(table))
}
