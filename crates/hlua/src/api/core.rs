//! The global `core`: registration, logging, time, tokenizing, and the doors to proxies, sockets and events.
//!
//! Source: lua-api "Core class".

use std::time::{Duration, UNIX_EPOCH};

use crate::api::date::{asctime, date, imf, rfc850};
use crate::api::{Class, Library, Method};
use crate::context::ContextKind::{self, *};
use crate::context::Contexts;
use crate::host::{HostError, Level};
use crate::op::Op;
use crate::raw::stack::{Failure, Flow, Ret, Stack};
use crate::registry::{ActionContext, FunctionInfo, FunctionKind, ServiceMode};
use crate::value::Out;
use crate::vm::{Job, Registered, Startup};

const BODY: Contexts = Contexts::of(&[Body]);

pub(crate) const LIBRARY: Library = Library {
    name: "core",
    functions: &[
        Method::new("register_action", "(name, contexts, func [, nb_args])", register_action).only(BODY),
        Method::new("register_fetches", "(name, func)", register_fetches).only(BODY),
        Method::new("register_converters", "(name, func)", register_converters).only(BODY),
        Method::new("register_service", "(name, mode, func)", register_service).only(BODY),
        Method::new("register_cli", "(path, usage, func)", register_cli).only(BODY),
        Method::new("register_filter", "(name, Flt, func)", super::filter::register).only(BODY),
        Method::new("register_init", "(func)", register_init).only(BODY),
        Method::new("register_task", "(func [, arg1 [, arg2 [, arg3 [, arg4]]]])", register_task),
        Method::new("use_native_mailers_config", "()", |stack| {
            super::mailers::claim(stack, "use_native_mailers_config")
        })
        .only(BODY),
        Method::new("disable_legacy_mailers", "()", |stack| {
            super::mailers::claim(stack, "disable_legacy_mailers")
        })
        .only(BODY),
        Method::new("log", "(loglevel, msg)", log),
        Method::new("Debug", "(msg)", |stack| log_at(stack, Level::Debug, "debug")),
        Method::new("Info", "(msg)", |stack| log_at(stack, Level::Info, "info")),
        Method::new("Warning", "(msg)", |stack| log_at(stack, Level::Warning, "warning")),
        Method::new("Alert", "(msg)", |stack| log_at(stack, Level::Alert, "alert")),
        Method::new("sleep", "(seconds)", |stack| sleep(stack, 1000, "sleep")).waits(),
        Method::new("msleep", "(milliseconds)", |stack| sleep(stack, 1, "msleep")).waits(),
        Method::new("yield", "()", turn).waits(),
        Method::new("wait", "([milliseconds])", wait).waits(),
        Method::new("now", "()", now),
        Method::new("http_date", "(date)", |stack| date(stack, &[imf, rfc850, asctime])),
        Method::new("imf_date", "(date)", |stack| date(stack, &[imf])),
        Method::new("rfc850_date", "(date)", |stack| date(stack, &[rfc850])),
        Method::new("asctime_date", "(date)", |stack| date(stack, &[asctime])),
        Method::new("done", "(data)", done),
        Method::new("set_nice", "(nice)", set_nice),
        Method::new("get_info", "()", get_info),
        Method::new("get_var", "(var)", get_var),
        Method::new("tokenize", "(str, separators [, noblank])", tokenize),
        Method::new("concat", "()", concat),
        Method::new("queue", "()", super::queue::new),
        Method::new("tcp", "()", super::socket::new),
        Method::new("httpclient", "()", super::httpclient::new),
        Method::new("event_sub", "(event_types, func)", super::event_sub::core_event_sub),
        Method::new("parse_addr", "(address)", super::address::parse),
        Method::new("match_addr", "(addr1, addr2)", super::address::matches),
        Method::new("get_patref", "(name)", super::patref::get_patref),
        Method::new("add_acl", "(name, key)", |stack| pattern(stack, "add_acl", true, false)),
        Method::new("del_acl", "(name, key)", |stack| pattern(stack, "del_acl", false, false)),
        Method::new("set_map", "(name, key, value)", |stack| pattern(stack, "set_map", true, true)),
        Method::new("del_map", "(name, key)", |stack| pattern(stack, "del_map", false, false)),
    ],
    constants: &[
        ("silent", -1),
        ("emerg", 0),
        ("alert", 1),
        ("crit", 2),
        ("err", 3),
        ("warning", 4),
        ("notice", 5),
        ("info", 6),
        ("debug", 7),
    ],
    lazy: Some(&LAZY),
    attributes: &[
        ("proxies", "list of Proxy by name"),
        ("backends", "list of Proxy by name"),
        ("frontends", "list of Proxy by name"),
        ("thread", "integer"),
    ],
};

const LAZY: Method = Method::new("__index", "(core, key)", lazy);

/// `core.proxies`, `core.backends`, `core.frontends` (nil in the body, as the configuration is not read yet),
/// `core.thread`.
fn lazy(stack: &mut Stack<'_>) -> Flow {
    let key = stack.try_bytes(2).unwrap_or_default();
    let list = match &*key {
        b"thread" => {
            stack.push_int(stack.vm().thread.into());
            return Ok(Ret::Count(1));
        }
        b"proxies" => super::proxy::LIST_ALL,
        b"frontends" => super::proxy::LIST_FRONTENDS,
        b"backends" => super::proxy::LIST_BACKENDS,
        _ => return Ok(Ret::Count(0)),
    };
    if stack.context() == Body {
        return Ok(Ret::Count(0));
    }
    stack.push_object(Class::ProxyList, list)?;
    Ok(Ret::Count(1))
}

// ---- registration ----------------------------------------------------------------------------------------------

fn register(stack: &mut Stack<'_>, name: i32, function: i32, kind: FunctionKind) -> Flow {
    let name = stack.text(name)?;
    register_as(stack, name, function, kind)
}

fn register_as(stack: &mut Stack<'_>, name: String, function: i32, kind: FunctionKind) -> Flow {
    if !stack.is_function(function) {
        return Err(stack.expected(function, "function"));
    }
    stack.copy(function);
    let function = stack.make_ref()?;
    let mut registered = stack.vm().registered.borrow_mut();
    let info = FunctionInfo { kind, name };
    let same = |entry: &Registered| entry.info.name == info.name && entry.info.kind.is_like(&info.kind);
    if let Some(at) = registered.iter().position(same) {
        let name = match &info.kind {
            FunctionKind::Cli { words, .. } => words.join(" "),
            _ => info.name.clone(),
        };
        let text = format!(
            "Trying to register {} 'lua.{name}' more than once. This will become a hard error in version 2.5.",
            info.kind
        );
        registered[at] = Registered { info, function };
        drop(registered);
        stack.core().log(Level::Warning, &text);
    } else {
        registered.push(Registered { info, function });
    }
    Ok(Ret::Count(0))
}

fn register_action(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(3, 4, "register_action")?;
    let nb_args = if stack.top() == 4 { stack.int(4)? } else { 0 };
    let nb_args = usize::try_from(nb_args).map_err(|_| Failure::Arg(4, "a count is expected".into()))?;
    if !stack.is_table(2) {
        return Err(stack.expected(2, "table"));
    }
    let mut contexts = Vec::new();
    for at in 1..=stack.raw_len(2) {
        stack.push_element(2, at);
        let word = stack.text(-1);
        stack.pop(1);
        let word =
            word.map_err(|_| Failure::error("register_action: second argument must be a table of strings"))?;
        contexts.push(ActionContext::parse(&word).ok_or_else(|| {
            Failure::Error(format!("Lua action environment '{word}' is unknown. 'tcp-req', 'tcp-res', 'http-req', 'http-res' or 'http-after-res' are expected.").into())
        })?);
    }
    register(stack, 1, 3, FunctionKind::Action { contexts, nb_args })
}

fn register_fetches(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "register_fetches")?;
    register(stack, 1, 2, FunctionKind::Fetch)
}

fn register_converters(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "register_converters")?;
    register(stack, 1, 2, FunctionKind::Converter)
}

fn register_service(stack: &mut Stack<'_>) -> Flow {
    stack.need(3, "register_service")?;
    let mode = match &*stack.bytes(2)? {
        b"tcp" => ServiceMode::Tcp,
        b"http" => ServiceMode::Http,
        other => {
            let other = String::from_utf8_lossy(other);
            return Err(Failure::Error(
                format!("Lua applet environment '{other}' is unknown. 'tcp' or 'http' are expected.").into(),
            ));
        }
    };
    register(stack, 1, 3, FunctionKind::Service(mode))
}

/// The handler gets an applet and every word of the command.
fn register_cli(stack: &mut Stack<'_>) -> Flow {
    stack.need(3, "register_cli")?;
    if !stack.is_table(1) {
        return Err(Failure::Arg(1, "1st argument must be a table".into()));
    }
    let count = stack.raw_len(1);
    if count > CLI_WORDS_MAX {
        let text = format!("1st argument must be a table with a maximum of {CLI_WORDS_MAX} entries");
        return Err(Failure::Arg(1, text.into()));
    }
    let mut words = Vec::new();
    for at in 1..=count {
        stack.push_element(1, at);
        let word = if stack.type_name(-1) == "string" { Some(stack.text(-1)?) } else { None };
        stack.pop(1);
        let word = word.filter(|word| !word.is_empty());
        words.push(
            word.ok_or_else(|| Failure::Arg(1, "1st argument must be a table filled with strings".into()))?,
        );
    }
    if words.is_empty() {
        return Err(Failure::Arg(1, "1st argument must be a table filled with strings".into()));
    }
    let usage = stack.text(2)?;
    let name = format!("cli.{}", words.join("."));
    register_as(stack, name, 3, FunctionKind::Cli { words, usage })
}

/// Words of a command.
const CLI_WORDS_MAX: i64 = 5;

fn register_init(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "register_init")?;
    if !stack.is_function(1) {
        return Err(stack.expected(1, "function"));
    }
    let function = stack.make_ref()?;
    stack.vm().inits.borrow_mut().push(function);
    Ok(Ret::Count(0))
}

/// At load time the task waits for the scheduler; later it is started at once, on this worker.
fn register_task(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(1, 5, "register_task")?;
    if !stack.is_function(1) {
        return Err(stack.expected(1, "function"));
    }
    let mut args = Vec::new();
    while stack.top() > 1 {
        args.insert(0, stack.make_ref()?);
    }
    let function = stack.make_ref()?;
    let name = stack.worker().unnamed.clone();
    let job = Job { context: Task, name, function, args: args.into() };
    stack.vm().startup.borrow_mut().push(Startup::Task(job));
    Ok(Ret::Count(0))
}

// ---- log -------------------------------------------------------------------------------------------------------

fn log(stack: &mut Stack<'_>) -> Flow {
    stack.need(2, "log")?;
    let level = log_level(stack, 1)?;
    write_log(stack, level, 2)
}

/// The level at `index`; HAProxy reports a bad one against the argument it counts as the first.
pub(crate) fn log_level(stack: &Stack<'_>, index: i32) -> Result<Level, Failure> {
    Level::from_number(stack.int(index)?).ok_or(Failure::Arg(1, "Invalid loglevel.".into()))
}

fn log_at(stack: &mut Stack<'_>, level: Level, name: &str) -> Flow {
    stack.need(1, name)?;
    write_log(stack, level, 1)
}

fn write_log(stack: &mut Stack<'_>, level: Level, index: i32) -> Flow {
    let text = printable(&stack.bytes(index)?);
    stack.core().log(level, &text);
    Ok(Ret::Count(0))
}

/// A log message up to its first NUL, with dots for what a terminal would obey.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end.min(LOG_BYTES_MAX)]);
    text.chars().map(|c| if c.is_control() || c == char::REPLACEMENT_CHARACTER { '.' } else { c }).collect()
}

/// Longer messages are cut here.
const LOG_BYTES_MAX: usize = 16 * 1024;

// ---- environment -----------------------------------------------------------------------------------------------

/// Lua's `os.getenv`, with the environment as the configuration left it (`setenv`).
pub(crate) fn getenv(stack: &mut Stack<'_>) -> Flow {
    let name = stack.text(1)?;
    match stack.core().env_var(&name) {
        Some(value) => stack.push_bytes(&value)?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

// ---- time ------------------------------------------------------------------------------------------------------

fn sleep(stack: &mut Stack<'_>, unit_ms: u64, name: &str) -> Flow {
    stack.need(1, name)?;
    let amount = u64::try_from(stack.int(1)?).unwrap_or(0);
    if stack.context().is_start() {
        return Ok(Ret::Count(0));
    }
    let core = stack.core();
    let at = core.now() + Duration::from_millis(amount.saturating_mul(unit_ms).min(SLEEP_MS_MAX));
    let sleep = core.sleep_until(at).ok_or(HostError::Unsupported("timers"))?;
    Ok(Ret::Block(Op::Sleep(sleep)))
}

/// Ten years: longer sleeps mean for ever, and an instant must be able to hold the sum.
const SLEEP_MS_MAX: u64 = 10 * 365 * 24 * 3600 * 1000;

/// Gives way once. Where nothing may wait it does nothing, as in HAProxy.
fn turn(stack: &mut Stack<'_>) -> Flow {
    if !stack.context().may_yield() {
        return Ok(Ret::Count(0));
    }
    if stack.may_suspend() && stack.vm().pass_turn(false) {
        return Ok(Ret::Count(0));
    }
    Ok(Ret::Block(Op::Turn { taken: false }))
}

/// Until something wakes this run, or for so many milliseconds at most. Where a stream drives the run, whatever
/// happens on the stream wakes it too.
fn wait(stack: &mut Stack<'_>) -> Flow {
    may_wait(stack, "wait")?;
    let limit = if stack.is_nil(1) {
        None
    } else {
        let ms = u64::try_from(stack.int(1)?).unwrap_or(0).min(SLEEP_MS_MAX);
        let core = stack.core();
        let sleep = core.sleep_until(core.now() + Duration::from_millis(ms));
        Some(sleep.ok_or(HostError::Unsupported("timers"))?)
    };
    let alarm = stack.vm().run.alarm.take().unwrap_or_default();
    stack.vm().run.alarm.set(Some(alarm.clone()));
    let by_stream = matches!(stack.context(), Action | ServiceHttp | ServiceTcp);
    Ok(Ret::Block(Op::Wait { alarm, limit, by_stream, polled: false }))
}

fn now(stack: &mut Stack<'_>) -> Flow {
    let now = stack.core().wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
    let sec = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    stack.push_out(&Out::record([("sec", Out::Int(sec)), ("usec", Out::Int(now.subsec_micros().into()))]))?;
    Ok(Ret::Count(1))
}

fn done(stack: &mut Stack<'_>) -> Flow {
    if stack.context().is_start() {
        return Ok(Ret::Count(0));
    }
    let value = (stack.top() > 0).then(|| stack.value(1).into_owned());
    stack.vm().run.exit_value.set(value);
    Err(Failure::Exit)
}

fn set_nice(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "set_nice")?;
    let nice = stack.int(1)?.clamp(-1024, 1024);
    stack.core().set_nice(nice as i32);
    Ok(Ret::Count(0))
}

// ---- information -----------------------------------------------------------------------------------------------

fn get_info(stack: &mut Stack<'_>) -> Flow {
    stack.need(0, "get_info")?;
    let info = stack.core().info();
    push_stats(stack, info)
}

/// A table of statistics.
pub(crate) fn push_stats(stack: &mut Stack<'_>, stats: crate::host::Stats) -> Flow {
    let bools = stack.vm().bools.get();
    let pairs = stats.into_iter().map(|(key, value)| (Out::text(key), Out::sample(value, bools))).collect();
    stack.push_out(&Out::Table(pairs))?;
    Ok(Ret::Count(1))
}

fn get_var(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "get_var")?;
    let name = stack.text(1)?;
    if !name.starts_with("proc.") {
        return Err(Failure::error("Only 'proc.' scope allowed in core.get_var()"));
    }
    match stack.core().process_var(&name) {
        Some(value) => stack.push_value(&value)?,
        None => stack.push_nil(),
    }
    Ok(Ret::Count(1))
}

fn tokenize(stack: &mut Stack<'_>) -> Flow {
    stack.need_between(2, 3, "tokenize")?;
    let text = until_nul(&stack.bytes(1)?);
    let separators = until_nul(&stack.bytes(2)?);
    let noblank = match stack.top() {
        2 => false,
        _ if stack.type_name(3) == "boolean" => stack.truthy(3),
        _ => return Err(stack.expected(3, "boolean")),
    };
    let tokens = text
        .split(|byte| separators.contains(byte))
        .filter(|token| !(noblank && token.is_empty()))
        .map(Out::text)
        .collect();
    stack.push_out(&Out::List(tokens))?;
    Ok(Ret::Count(1))
}

fn until_nul(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn concat(stack: &mut Stack<'_>) -> Flow {
    super::concat::new(stack)
}

/// The legacy calls by name. A key that cannot be read changes nothing, as in HAProxy.
fn pattern(stack: &mut Stack<'_>, name: &str, add: bool, with_value: bool) -> Flow {
    stack.need(if with_value { 3 } else { 2 }, name)?;
    let (file, key) = (stack.text(1)?, stack.bytes(2)?);
    let value = if with_value { Some(stack.bytes(3)?) } else { None };
    // There is nothing yet while the configuration is read.
    if stack.context() == Body {
        return Ok(Ret::Count(0));
    }
    let core = stack.core();
    let patterns = core.patterns().ok_or(HostError::Unsupported("pattern files"))?;
    let Some(reference) = patterns.find(&file) else {
        let kind = if name == "set_map" { "map" } else { "acl" };
        return Err(Failure::Error(format!("'{name}': unknown {kind} file '{file}'").into()));
    };
    match value {
        Some(value) => drop(reference.set(None, &key, &value, true)),
        None if add => drop(reference.add(None, &key, None, true)),
        None => drop(reference.del(None, &key)),
    }
    Ok(Ret::Count(0))
}

/// Whether blocking calls may wait here, as an error naming context and remedy if not.
pub(crate) fn may_wait(stack: &Stack<'_>, name: &str) -> Result<(), Failure> {
    let context: ContextKind = stack.context();
    if context.may_yield() {
        return Ok(());
    }
    Err(Failure::Error(format!("'{name}' waits, and {}", context.instead()).into()))
}
