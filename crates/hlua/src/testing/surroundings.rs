//! What stands around a script: proxies, peers, HTTP answers, maps, variables, samples.

use mlua::{Lua, Table, Value as Lv};

use super::arguments::{table, text};
use super::names::{bytes, header_table, headers, to_host};
use super::streams;
use super::subject::{Results, Subject, wrong};
use crate::host::HttpResponse;
use crate::host::memory::MemoryCore;

/// `proxy(name, { frontend = …, backend = …, servers = { s1 = "127.0.0.1:80" } })`
pub(super) fn proxy(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let name = text(args, 0)?;
    let (mut capabilities, mut servers) = ((false, true), Vec::new());
    if let Some(options) = table(args, 1)? {
        streams::only(&options, &["frontend", "backend", "servers"])?;
        let flag = |key: &str| options.get::<Option<bool>>(key).map_err(wrong);
        let frontend = flag("frontend")?.unwrap_or(false);
        capabilities = (frontend, flag("backend")?.unwrap_or(!frontend));
        if let Some(list) = options.get::<Option<Table>>("servers").map_err(wrong)? {
            for pair in list.pairs::<String, String>() {
                servers.push(pair.map_err(wrong)?);
            }
        }
    }
    servers.sort();
    let servers: Vec<(&str, &str)> = servers.iter().map(|(name, addr)| (&**name, &**addr)).collect();
    subject.core.proxies.add(&name, capabilities, &servers);
    Ok(Vec::new())
}

pub(super) fn commands(lua: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    let list = subject.core.proxies.commands.borrow().clone();
    Ok(vec![Lv::Table(lua.create_sequence_from(list).map_err(wrong)?)])
}

/// `peer("127.0.0.1:6379", { "+PONG\r\n" })`: says each text after a write, then closes.
pub(super) fn peer(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let address = text(args, 0)?;
    let address = address.parse().map_err(|_| format!("'{address}' is no address with a port"))?;
    let says: Vec<String> = match table(args, 1)? {
        Some(table) => table.sequence_values().collect::<mlua::Result<_>>().map_err(wrong)?,
        None => Vec::new(),
    };
    let says: Vec<&str> = says.iter().map(String::as_str).collect();
    subject.core.sockets.add(address, &says);
    Ok(Vec::new())
}

/// `http(url, { status, reason, headers, body })`: what `core.httpclient` gets from there.
pub(super) fn http(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let mut response = HttpResponse { status: 200, ..HttpResponse::default() };
    if let Some(table) = table(args, 1)? {
        streams::only(&table, &["status", "reason", "headers", "body"])?;
        response.status = table.get::<Option<u16>>("status").map_err(wrong)?.unwrap_or(200);
        let optional = |key: &str| table.get::<Option<Lv>>(key).map_err(wrong);
        response.reason = optional("reason")?.map_or(Ok(Vec::new()), |reason| bytes(&reason))?;
        response.body = optional("body")?.map_or(Ok(Vec::new()), |body| bytes(&body))?;
        response.headers = headers(table.get("headers").map_err(wrong)?)?;
    }
    subject.core.http.answer(&text(args, 0)?, response);
    Ok(Vec::new())
}

/// The requests that the script made since the last call.
pub(super) fn requests(lua: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    let list = lua.create_table().map_err(wrong)?;
    for request in subject.core.http.take_requests() {
        let table = lua.create_table().map_err(wrong)?;
        let fill = || {
            table.set("method", request.method)?;
            table.set("url", request.url.as_str())?;
            table.set("headers", header_table(lua, &request.headers)?)?;
            table.set("body", lua.create_string(&request.body)?)?;
            list.push(&table)
        };
        fill().map_err(wrong)?;
    }
    Ok(vec![Lv::Table(list)])
}

/// `map(name, { key = value })`: a map as a file of that name would hold it; `script.load` takes `maps` for scripts that
/// open theirs while they load.
pub(super) fn map(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    add_map(&subject.core, &text(args, 0)?, table(args, 1)?)?;
    Ok(Vec::new())
}

pub(super) fn add_map(core: &MemoryCore, name: &str, entries: Option<Table>) -> Result<(), String> {
    let mut list = Vec::new();
    for (key, value) in entries.iter().flat_map(Table::pairs::<String, String>).flatten() {
        list.push((key, value));
    }
    list.sort();
    let entries: Vec<(&str, &str)> = list.iter().map(|(key, value)| (&**key, &**value)).collect();
    core.patterns.add_map(name, &entries);
    Ok(())
}

/// `acl(name, { key… })`: a list of patterns.
pub(super) fn acl(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let keys: Vec<String> = match table(args, 1)? {
        Some(table) => table.sequence_values().collect::<mlua::Result<_>>().map_err(wrong)?,
        None => Vec::new(),
    };
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    subject.core.patterns.add_acl(&text(args, 0)?, &keys);
    Ok(Vec::new())
}

pub(super) fn set_proc_var(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let value = to_host(args.get(1).unwrap_or(&Lv::Nil))?.ok_or("a value is expected")?;
    subject.core.set_process_var(&text(args, 0)?, value);
    Ok(Vec::new())
}

pub(super) fn stub_fetch(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let stub = streams::stub(lua, args.get(1).cloned().unwrap_or(Lv::Nil))?;
    subject.core.catalog.stub_fetch(&text(args, 0)?, stub);
    Ok(Vec::new())
}

pub(super) fn stub_converter(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let stub = streams::stub(lua, args.get(1).cloned().unwrap_or(Lv::Nil))?;
    subject.core.catalog.stub_converter(&text(args, 0)?, stub);
    Ok(Vec::new())
}
