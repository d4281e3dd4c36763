//! The script under test: a runtime of its own on a host in memory, and what a test may do with it.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::{AnyUserData, Lua, Table, UserData, Value as Lv, Variadic};

use super::answer;
use super::names::{action_word, bytes, header_table, headers, to_host, to_test};
use super::streams::{self, TestTxn};
use crate::context::ContextKind;
use crate::execution::Execution;
use crate::host::memory::{MemoryAppletHttp, MemoryAppletTcp, MemoryCore, level_name};
use crate::host::{
    Event, HttpResponse, Lent, ServerEvent, ServerEventAdmin, ServerEventCheck, ServerEventDetails,
    ServerEventState,
};
use crate::{Config, Error, FunctionKind, Outcome, Runtime, ServiceMode};

/// The script, with its host. Cheap to clone.
#[derive(Clone)]
pub(super) struct Subject {
    runtime: Runtime,
    core: Rc<MemoryCore>,
}

impl UserData for Subject {}

/// Readings of the clock, one every 10,000 instructions, after which a loop is taken to be endless.
const READINGS_MAX: u32 = 10_000;

type Results = Result<Vec<Lv>, String>;
type Operation = fn(&Lua, &Subject, &[Lv]) -> Results;

/// Adds what a test may do with a script: functions of the script and more, answering `true, …` or `false, why`.
pub(super) fn install(
    lua: &Lua,
    host: &Table,
    folder: &Path,
    clock: &Rc<dyn Fn() -> Instant>,
) -> mlua::Result<()> {
    let (folder, clock) = (folder.to_owned(), clock.clone());
    let load = move |lua: &Lua, (path, options): (String, Option<Table>)| {
        let made = Subject::load(&folder, &path, options, clock());
        answer(lua, made.and_then(|subject| userdata(lua, subject)))
    };
    host.set("load", lua.create_function(load)?)?;
    const OPERATIONS: &[(&str, Operation)] = &[
        ("txn", make_txn),
        ("action", action),
        ("fetch", fetch),
        ("convert", convert),
        ("service", service),
        ("tcp_service", tcp_service),
        ("start", start),
        ("run_tasks", run_tasks),
        ("advance", advance),
        ("elapsed", elapsed),
        ("log", log),
        ("registered", registered),
        ("proxy", proxy),
        ("commands", commands),
        ("event", event),
        ("peer", peer),
        ("http", http),
        ("requests", requests),
        ("map", map),
        ("acl", acl),
        ("set_proc_var", set_proc_var),
        ("stub_fetch", stub_fetch),
        ("stub_converter", stub_converter),
        ("eval", eval),
    ];
    for (name, operation) in OPERATIONS {
        let run = move |lua: &Lua, (subject, args): (AnyUserData, Variadic<Lv>)| {
            let subject = subject.borrow::<Subject>()?.clone();
            answer(lua, operation(lua, &subject, &args))
        };
        host.set(*name, lua.create_function(run)?)?;
    }
    Ok(())
}

fn userdata<T: UserData + 'static>(lua: &Lua, value: T) -> Results {
    Ok(vec![Lv::UserData(lua.create_userdata(value).map_err(wrong)?)])
}

fn wrong(error: mlua::Error) -> String {
    super::plain(&error)
}

impl Subject {
    /// Loads a script, found from the test's folder, into a fresh VM.
    fn load(folder: &Path, path: &str, options: Option<Table>, now: Instant) -> Result<Subject, String> {
        let path = folder.join(path);
        let core = MemoryCore::new(now);
        core.end_loops_after(READINGS_MAX);
        let mut args = Vec::new();
        let mut prepend = vec![path.parent().unwrap_or(folder).join("?.lua")];
        if let Some(options) = options {
            streams::only(&options, &["args", "env", "path", "maps"])?;
            if let Some(maps) = options.get::<Option<Table>>("maps").map_err(wrong)? {
                for pair in maps.pairs::<String, Table>() {
                    let (name, entries) = pair.map_err(wrong)?;
                    add_map(&core, &name, Some(entries))?;
                }
            }
            for arg in options.get::<Option<Vec<String>>>("args").map_err(wrong)?.unwrap_or_default() {
                args.push(arg);
            }
            if let Some(env) = options.get::<Option<Table>>("env").map_err(wrong)? {
                for pair in env.pairs::<String, String>() {
                    let (name, value) = pair.map_err(wrong)?;
                    core.set_env(&name, &value);
                }
            }
            let more: Option<String> = options.get("path").map_err(wrong)?;
            prepend.extend(more.map(|more| folder.join(more)));
        }
        let text = |path: PathBuf| ("path".to_owned(), path.display().to_string());
        let config = Config { prepend_paths: prepend.into_iter().map(text).collect(), ..Config::default() };
        let runtime = Runtime::per_thread(&config, core.clone(), 1).map_err(|error| error.to_string())?;
        runtime.load_file(&path, &args).map_err(|error| error.to_string())?;
        Ok(Subject { runtime, core })
    }

    /// Runs to the end on the test's clock.
    fn finish(&self, execution: &mut Execution, lent: Lent) -> (Lent, Result<Outcome, String>) {
        let (lent, result) = self.core.try_block_on(execution, lent);
        let result = match result {
            Some(result) => result.map_err(|error| self.explain(&error)),
            None => {
                Err("the script waits for something that never comes, or gives way without end".to_owned())
            }
        };
        (lent, result)
    }

    /// A failure with the calls that led to it.
    fn explain(&self, error: &Error) -> String {
        let mut text = error.to_string();
        if let Some(failure) = self.core.take_failures().pop() {
            for frame in &failure.traceback {
                text.push_str(&format!("\n    in the script: {frame}"));
            }
        }
        text
    }

    fn run_site(&self, kind: &FunctionKind, name: &str, args: &[Lv], lent: Lent) -> Result<Ended, String> {
        let args = args.iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
        let given: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        self.has(kind, name, given.len())?;
        let site = self.runtime.call_site(kind, name, &given).map_err(|error| error.to_string())?;
        Ok(self.finish(&mut self.runtime.start(site), lent))
    }

    /// Complains about what a configuration would be refused for.
    fn has(&self, kind: &FunctionKind, name: &str, args: usize) -> Result<(), String> {
        let functions = self.runtime.registry().functions;
        let Some(found) = functions.iter().find(|known| known.name == name && known.kind.is_like(kind))
        else {
            let names: Vec<_> =
                functions.iter().map(|known| format!("{} {}", known.kind, known.name)).collect();
            let there = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            return Err(format!("the script has registered no {kind} '{name}', but {there}"));
        };
        match &found.kind {
            FunctionKind::Action { nb_args, .. } if *nb_args != args => {
                Err(format!("action '{name}' was registered for {nb_args} arguments, not {args}"))
            }
            _ => Ok(()),
        }
    }
}

type Ended = (Lent, Result<Outcome, String>);

const ACTION: FunctionKind = FunctionKind::Action { contexts: Vec::new(), nb_args: 0 };

// ---- arguments ---------------------------------------------------------------------------------------------------

fn text(args: &[Lv], at: usize) -> Result<String, String> {
    let value = args.get(at).ok_or_else(|| format!("argument {} is missing", at + 1))?;
    Ok(String::from_utf8_lossy(&bytes(value)?).into_owned())
}

fn table(args: &[Lv], at: usize) -> Result<Option<Table>, String> {
    match args.get(at) {
        None | Some(Lv::Nil) => Ok(None),
        Some(Lv::Table(table)) => Ok(Some(table.clone())),
        Some(other) => Err(format!("argument {}: a table is expected, not a {}", at + 1, other.type_name())),
    }
}

fn txn_of(args: &[Lv], at: usize) -> Result<TestTxn, String> {
    match args.get(at) {
        Some(Lv::UserData(data)) => {
            data.borrow::<TestTxn>().map(|txn| txn.clone()).map_err(|_| "a txn is expected".to_owned())
        }
        _ => Err("a txn is expected".to_owned()),
    }
}

fn rest(args: &[Lv], from: usize) -> &[Lv] {
    args.get(from..).unwrap_or_default()
}

// ---- functions of the script -------------------------------------------------------------------------------------

fn make_txn(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let description = match table(args, 0)? {
        Some(table) => table,
        None => lua.create_table().map_err(wrong)?,
    };
    userdata(lua, TestTxn::new(streams::make(lua, &subject.core.catalog, &description)?))
}

fn action(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
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

fn fetch(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
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

fn convert(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
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

fn service(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
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

fn tcp_service(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
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
fn eval(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
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

// ---- time, tasks, log --------------------------------------------------------------------------------------------

/// What happens between reading the configuration and the first request: init functions, then tasks.
fn start(_: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    subject.runtime.run_init().map_err(|error| subject.explain(&error))?;
    subject.runtime.start_tasks().map_err(|error| error.to_string())?;
    subject.core.run_tasks();
    Ok(Vec::new())
}

fn run_tasks(_: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    Ok(vec![Lv::Integer(subject.core.run_tasks() as i64)])
}

fn advance(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let seconds = match args.first() {
        Some(Lv::Integer(int)) => *int as f64,
        Some(Lv::Number(number)) => *number,
        _ => f64::NAN,
    };
    if !(0.0..1e9).contains(&seconds) {
        return Err("a number of seconds is expected".to_owned());
    }
    let by = Duration::from_secs_f64(seconds);
    subject.core.advance_through(by);
    Ok(Vec::new())
}

fn elapsed(_: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    Ok(vec![Lv::Number(subject.core.elapsed().as_secs_f64())])
}

fn log(lua: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    let lines = lua.create_table().map_err(wrong)?;
    for (level, line) in subject.core.log_lines() {
        lines.push(format!("{}: {line}", level_name(level))).map_err(wrong)?;
    }
    Ok(vec![Lv::Table(lines)])
}

fn registered(lua: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    let list = lua.create_table().map_err(wrong)?;
    for function in subject.runtime.registry().functions {
        list.push(format!("{} {}", function.kind, function.name)).map_err(wrong)?;
    }
    Ok(vec![Lv::Table(list)])
}

// ---- surroundings ------------------------------------------------------------------------------------------------

/// `proxy(name, { frontend = …, backend = …, servers = { s1 = "127.0.0.1:80" } })`
fn proxy(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
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

fn commands(lua: &Lua, subject: &Subject, _: &[Lv]) -> Results {
    let list = subject.core.proxies.commands.borrow().clone();
    Ok(vec![Lv::Table(lua.create_sequence_from(list).map_err(wrong)?)])
}

/// `event(name, "be/s1", { … })`: publishes, and lets handlers run.
fn event(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let (name, server) = (text(args, 0)?, text(args, 1)?);
    let known = EVENTS.iter().find(|known| **known == name);
    let name = *known.ok_or_else(|| format!("no event '{name}'; there are {}", EVENTS.join(", ")))?;
    let (proxy, server) = server.split_once('/').ok_or("a server is expected, as 'backend/server'")?;
    let proxies = crate::host::Proxies::list(&subject.core.proxies);
    let found = proxies.iter().find(|known| known.name() == proxy).and_then(|proxy| {
        let servers = proxy.servers();
        let server = servers.iter().find(|known| known.name() == server)?;
        Some((proxy.uuid(), server.puid(), server.rid()))
    });
    let (proxy_uuid, puid, rid) =
        found.ok_or_else(|| format!("no server '{proxy}/{server}'; add it with proxy()"))?;
    let details = details(name, table(args, 2)?)?;
    let data =
        ServerEvent { name: server.to_owned(), puid, rid, proxy_name: proxy.to_owned(), proxy_uuid, details };
    let when = crate::host::Core::wall_clock(&*subject.core);
    let when = when.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    subject.core.events.publish(&Event { name, when, data: Some(data) });
    subject.core.run_tasks();
    Ok(Vec::new())
}

const EVENTS: [&str; 8] = [
    "SERVER_ADD",
    "SERVER_DEL",
    "SERVER_UP",
    "SERVER_DOWN",
    "SERVER_STATE",
    "SERVER_ADMIN",
    "SERVER_CHECK",
    "SERVER_INETADDR",
];

/// What the event tells, from a table of the names that handlers read.
fn details(name: &str, table: Option<Table>) -> Result<ServerEventDetails, String> {
    let Some(table) = table else { return Ok(ServerEventDetails::None) };
    let text = |key: &str| table.get::<Option<String>>(key).map_err(wrong).map(Option::unwrap_or_default);
    let int = |key: &str| table.get::<Option<i64>>(key).map_err(wrong).map(Option::unwrap_or_default);
    let flag = |key: &str| table.get::<Option<bool>>(key).map_err(wrong).map(Option::unwrap_or_default);
    Ok(match name {
        "SERVER_STATE" => {
            streams::only(&table, &["admin", "cause", "old_state", "new_state", "requeued"])?;
            ServerEventDetails::State(ServerEventState {
                admin: flag("admin")?,
                check: None,
                cause: text("cause")?,
                old_state: state(&text("old_state")?)?,
                new_state: state(&text("new_state")?)?,
                requeued: int("requeued")?,
            })
        }
        "SERVER_ADMIN" => {
            streams::only(&table, &["cause", "requeued"])?;
            ServerEventDetails::Admin(ServerEventAdmin {
                cause: text("cause")?,
                requeued: int("requeued")?,
                ..ServerEventAdmin::default()
            })
        }
        "SERVER_CHECK" => {
            streams::only(&table, &["result", "agent", "duration", "short", "desc", "code"])?;
            ServerEventDetails::Check(ServerEventCheck {
                result: result(&text("result")?)?,
                agent: flag("agent")?,
                duration: int("duration")?,
                reason_short: text("short")?,
                reason_desc: text("desc")?,
                reason_code: table.get("code").map_err(wrong)?,
                ..ServerEventCheck::default()
            })
        }
        "SERVER_INETADDR" => {
            streams::only(&table, &["prev", "next"])?;
            ServerEventDetails::Inetaddr { prev: text("prev")?, next: text("next")? }
        }
        _ => return Err(format!("{name} tells nothing but its server")),
    })
}

fn state(word: &str) -> Result<&'static str, String> {
    const STATES: [&str; 4] = ["STOPPED", "STOPPING", "STARTING", "RUNNING"];
    let found = STATES.into_iter().find(|known| *known == word);
    found.ok_or_else(|| format!("'{word}' is no state; there are {}", STATES.join(", ")))
}

fn result(word: &str) -> Result<Option<&'static str>, String> {
    const RESULTS: [&str; 3] = ["FAILED", "PASSED", "CONDPASS"];
    if word.is_empty() {
        return Ok(None);
    }
    let found = RESULTS.into_iter().find(|known| *known == word);
    found.map(Some).ok_or_else(|| format!("'{word}' is no result; there are {}", RESULTS.join(", ")))
}

/// `peer("127.0.0.1:6379", { "+PONG\r\n" })`: says each text after a write, then closes.
fn peer(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
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
fn http(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
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
fn requests(lua: &Lua, subject: &Subject, _: &[Lv]) -> Results {
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
fn map(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    add_map(&subject.core, &text(args, 0)?, table(args, 1)?)?;
    Ok(Vec::new())
}

fn add_map(core: &MemoryCore, name: &str, entries: Option<Table>) -> Result<(), String> {
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
fn acl(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let keys: Vec<String> = match table(args, 1)? {
        Some(table) => table.sequence_values().collect::<mlua::Result<_>>().map_err(wrong)?,
        None => Vec::new(),
    };
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    subject.core.patterns.add_acl(&text(args, 0)?, &keys);
    Ok(Vec::new())
}

fn set_proc_var(_: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let value = to_host(args.get(1).unwrap_or(&Lv::Nil))?.ok_or("a value is expected")?;
    subject.core.set_process_var(&text(args, 0)?, value);
    Ok(Vec::new())
}

fn stub_fetch(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let stub = streams::stub(lua, args.get(1).cloned().unwrap_or(Lv::Nil))?;
    subject.core.catalog.stub_fetch(&text(args, 0)?, stub);
    Ok(Vec::new())
}

fn stub_converter(lua: &Lua, subject: &Subject, args: &[Lv]) -> Results {
    let stub = streams::stub(lua, args.get(1).cloned().unwrap_or(Lv::Nil))?;
    subject.core.catalog.stub_converter(&text(args, 0)?, stub);
    Ok(Vec::new())
}
