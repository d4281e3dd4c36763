//! The script under test: a runtime of its own on a host in memory, and what a test may do with it.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use mlua::{AnyUserData, Lua, Table, UserData, Value as Lv, Variadic};

use super::names::bytes;
use super::{answer, functions, server_events, streams, surroundings, tasks};
use crate::execution::Execution;
use crate::host::Lent;
use crate::host::memory::MemoryCore;
use crate::{Config, Error, FunctionKind, Outcome, Runtime};

/// The script, with its host. Cheap to clone.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) runtime: Runtime,
    pub(super) core: Rc<MemoryCore>,
}

impl UserData for Subject {}

/// Readings of the clock, one every 10,000 instructions, after which a loop is taken to be endless.
const READINGS_MAX: u32 = 10_000;

/// What an operation gives to the test, or why it failed.
pub(super) type Results = Result<Vec<Lv>, String>;
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
        ("txn", functions::make_txn),
        ("action", functions::action),
        ("fetch", functions::fetch),
        ("convert", functions::convert),
        ("service", functions::service),
        ("tcp_service", functions::tcp_service),
        ("start", tasks::start),
        ("run_tasks", tasks::run_tasks),
        ("advance", tasks::advance),
        ("elapsed", tasks::elapsed),
        ("log", tasks::log),
        ("registered", tasks::registered),
        ("proxy", surroundings::proxy),
        ("commands", surroundings::commands),
        ("event", server_events::event),
        ("peer", surroundings::peer),
        ("http", surroundings::http),
        ("requests", surroundings::requests),
        ("map", surroundings::map),
        ("acl", surroundings::acl),
        ("set_proc_var", surroundings::set_proc_var),
        ("stub_fetch", surroundings::stub_fetch),
        ("stub_converter", surroundings::stub_converter),
        ("eval", functions::eval),
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

/// Puts a value of ours into a test's VM.
pub(super) fn userdata<T: UserData + 'static>(lua: &Lua, value: T) -> Results {
    Ok(vec![Lv::UserData(lua.create_userdata(value).map_err(wrong)?)])
}

/// An error of Lua's as text.
pub(super) fn wrong(error: mlua::Error) -> String {
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
                    surroundings::add_map(&core, &name, Some(entries))?;
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
    pub(super) fn finish(&self, execution: &mut Execution, lent: Lent) -> (Lent, Result<Outcome, String>) {
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
    pub(super) fn explain(&self, error: &Error) -> String {
        let mut text = error.to_string();
        if let Some(failure) = self.core.take_failures().pop() {
            for frame in &failure.traceback {
                text.push_str(&format!("\n    in the script: {frame}"));
            }
        }
        text
    }

    pub(super) fn run_site(
        &self,
        kind: &FunctionKind,
        name: &str,
        args: &[Lv],
        lent: Lent,
    ) -> Result<Ended, String> {
        let args = args.iter().map(bytes).collect::<Result<Vec<_>, _>>()?;
        let given: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        self.has(kind, name, given.len())?;
        let site = self.runtime.call_site(kind, name, &given).map_err(|error| error.to_string())?;
        Ok(self.finish(&mut self.runtime.start(site), lent))
    }

    /// Complains about what a configuration would be refused for.
    pub(super) fn has(&self, kind: &FunctionKind, name: &str, args: usize) -> Result<(), String> {
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

/// What was lent, and what came of the run.
pub(super) type Ended = (Lent, Result<Outcome, String>);
