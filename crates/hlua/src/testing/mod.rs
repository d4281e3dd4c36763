//! Script tests without a proxy: `describe`, `it` and `assert` in Lua, against a script that runs on
//! [`host::memory`](crate::host::memory) through the very API that it meets in production.
//!
//! ```text
//! x_test.lua ── a plain Lua VM with describe, it, assert, script
//!      │ script.load("x.lua")
//!      ▼
//! Subject: a Runtime of its own on a MemoryCore ── actions, fetches, services, tasks, events, a clock that the test moves
//! ```
//!
//! Tests and script are two VMs, so that each `script.load` is a fresh start. What crosses is plain data: nil,
//! booleans, numbers, strings, and tables of them where it says so. Test code has no time limit; the script has
//! HAProxy's, on the test's clock, and a loop that never ends meets them.

mod arguments;
mod diff;
mod functions;
mod names;
mod server_events;
mod streams;
mod subject;
mod surroundings;
mod tasks;
mod tree;

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::{Lua, Table, Value};

/// How to run a file of tests.
#[derive(Clone)]
pub struct Options {
    /// Only tests whose full name (`outer > inner > it`) contains this.
    pub filter: Option<String>,
    /// Reads a clock: how long each test took, and where the script's own clock begins.
    pub clock: Rc<dyn Fn() -> Instant>,
}

/// What became of the tests of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileReport {
    /// The file, as it was named.
    pub file: String,
    /// Its tests, in order.
    pub tests: Vec<TestReport>,
    /// Why the file itself failed: it does not load, or breaks outside of a test.
    pub error: Option<String>,
}

/// What became of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestReport {
    /// `outer > inner > it`
    pub name: String,
    /// How it ended.
    pub outcome: TestOutcome,
    /// How long it took.
    pub time: Duration,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestOutcome {
    /// Well.
    Passed,
    /// With this text: `file:line: what`, the difference on lines of its own.
    Failed(String),
    /// It is marked as pending.
    Skipped,
}

impl FileReport {
    /// Whether nothing failed.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.error.is_none() && !self.tests.iter().any(|test| matches!(test.outcome, TestOutcome::Failed(_)))
    }
}

const PRELUDE: &str = include_str!("prelude.lua");

/// Runs the tests of a file.
#[must_use]
pub fn run_file(path: &Path, options: &Options) -> FileReport {
    let file = path.display().to_string();
    let read = std::fs::read(path).map_err(|error| format!("cannot open {file}: {error}"));
    let done = read.and_then(|source| {
        run(&file, path.parent().unwrap_or(Path::new(".")), &source, options).map_err(|error| plain(&error))
    });
    match done {
        Ok((tests, error)) => FileReport { file, tests, error },
        Err(error) => FileReport { file, tests: Vec::new(), error: Some(error) },
    }
}

type Done = (Vec<TestReport>, Option<String>);

fn run(file: &str, folder: &Path, source: &[u8], options: &Options) -> mlua::Result<Done> {
    let lua = Lua::new();
    let host = lua.create_table()?;
    subject::install(&lua, &host, folder, &options.clock)?;
    streams::install(&lua, &host)?;
    host.set("diff", lua.create_function(|_, (old, new): (String, String)| Ok(diff::lines(&old, &new)))?)?;
    host.set("where", lua.create_function(|lua, level: usize| Ok(place(lua, level)))?)?;
    let traceback = |lua: &Lua, text: String| lua.traceback(Some(&text), 2);
    host.set("traceback", lua.create_function(traceback)?)?;
    let clock = options.clock.clone();
    let begin = clock();
    host.set("seconds", lua.create_function(move |_, ()| Ok((clock() - begin).as_secs_f64()))?)?;
    let folder = folder.join("?.lua").display().to_string();
    let package: Table = lua.globals().get("package")?;
    package.set("path", format!("{folder};{}", package.get::<String>("path")?))?;

    let runner: Table = lua.load(PRELUDE).set_name("=tidegate test").call(host)?;
    let run: mlua::Function = runner.get("run")?;
    let chunk = lua.load(source).set_name(format!("@{file}")).into_function();
    let chunk = match chunk {
        Ok(chunk) => chunk,
        Err(error) => return Ok((Vec::new(), Some(plain(&error)))),
    };
    let (results, error): (Table, Option<mlua::LuaString>) = run.call((chunk, options.filter.clone()))?;
    let tests =
        results.sequence_values::<Table>().map(|test| read_test(&test?)).collect::<mlua::Result<_>>()?;
    Ok((tests, error.map(|text| text.to_string_lossy())))
}

fn read_test(test: &Table) -> mlua::Result<TestReport> {
    let text = |key: &str| test.get::<mlua::LuaString>(key).map(|text| text.to_string_lossy());
    let outcome = match text("status")?.as_str() {
        "passed" => TestOutcome::Passed,
        "skipped" => TestOutcome::Skipped,
        _ => TestOutcome::Failed(text("message")?),
    };
    let time = Duration::from_secs_f64(test.get::<f64>("seconds")?.max(0.0));
    Ok(TestReport { name: text("name")?, outcome, time })
}

/// `file:line` of a caller.
fn place(lua: &Lua, level: usize) -> Option<String> {
    let read = |debug: &mlua::debug::Debug<'_>| {
        let line = debug.current_line()?;
        Some(format!("{}:{line}", debug.source().short_src?))
    };
    lua.inspect_stack(level, read).flatten()
}

/// An error's own text, without what surrounds it.
fn plain(error: &mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. } | mlua::Error::RuntimeError(message) => message.clone(),
        mlua::Error::CallbackError { cause, .. } => plain(cause),
        other => other.to_string(),
    }
}

/// What a function of the host gives to the prelude: `true, values…` or `false, message`.
fn answer(lua: &Lua, result: Result<Vec<Value>, String>) -> mlua::Result<mlua::MultiValue> {
    let mut values = mlua::MultiValue::new();
    match result {
        Ok(results) => {
            values.push_back(Value::Boolean(true));
            values.extend(results);
        }
        Err(message) => {
            values.push_back(Value::Boolean(false));
            values.push_back(Value::String(lua.create_string(message)?));
        }
    }
    Ok(values)
}
