//! The process behind `core`: time, log, tasks, and where the other parts of a host are found.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::{
    Certificates, Events, HostError, HostResult, HttpClient, LocalFuture, Patterns, Proxies, Regex, Sockets,
    Value,
};
use crate::Failure;

/// Syslog severities, as in the constants of `core`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// `core.emerg`
    Emerg = 0,
    /// `core.alert`
    Alert = 1,
    /// `core.crit`
    Crit = 2,
    /// `core.err`
    Err = 3,
    /// `core.warning`
    Warning = 4,
    /// `core.notice`
    Notice = 5,
    /// `core.info`
    Info = 6,
    /// `core.debug`
    Debug = 7,
}

impl Level {
    /// The level for a script's number, 0 to 7.
    pub fn from_number(number: i64) -> Option<Level> {
        use Level::*;
        [Emerg, Alert, Crit, Err, Warning, Notice, Info, Debug].get(usize::try_from(number).ok()?).copied()
    }
}

/// One worker thread's side of the class `core`, and the door to the rest.
///
/// One value a worker; never crosses threads. The shared VM uses the core of whichever worker runs it.
pub trait Core {
    /// The monotonic clock, for run time and sleeps. Called when a run is being measured, not on the fast path.
    fn now(&self) -> Instant;

    /// Writes one log line that belongs to no stream: `core.log`, `core.Alert`, errors of tasks and handlers.
    /// Destinations (loggers, stderr) are the host's business. Control bytes are already dots.
    fn log(&self, level: Level, message: &str);

    /// A run ended by an error. Told in addition to the error that its caller gets or that is logged; nothing is
    /// expected of the host.
    fn failed(&self, failure: &Failure) {
        let _ = failure;
    }

    /// The wall clock behind `core.now()`.
    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    /// An environment variable, for `os.getenv`. Unless the host says otherwise, the process's.
    fn env_var(&self, name: &str) -> Option<Vec<u8>> {
        std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec)
    }

    /// A future that ends at `at`, for `core.sleep`, `core.msleep` and timeouts. None: sleeping is an error.
    fn sleep_until(&self, at: Instant) -> Option<LocalFuture<()>> {
        let _ = at;
        None
    }

    /// Runs a background task on this worker: `core.register_task` at run time and event handlers.
    fn spawn(&self, task: LocalFuture<()>) -> HostResult<()> {
        drop(task);
        Err(HostError::Unsupported("tasks"))
    }

    /// Whether giving way now would come straight back: nothing else is ready on this worker, and its sockets were
    /// looked at not long ago. Then `core.yield` and forced yields go on without leaving the VM.
    ///
    /// A host that answers true must answer false before long, whatever it is asked in between.
    fn nothing_else_ready(&self) -> bool {
        false
    }

    /// Changes the priority of the running task (`core.set_nice`), -1024 to 1024.
    fn set_nice(&self, nice: i32) {
        let _ = nice;
    }

    /// The fields of `show info`, for `core.get_info`.
    fn info(&self) -> Vec<(String, Value<'static>)> {
        Vec::new()
    }

    /// A process variable (`proc.…`), for `core.get_var`.
    fn process_var(&self, name: &str) -> Option<Value<'static>> {
        let _ = name;
        None
    }

    /// Sample fetches and converters by name, for `txn.f`, `txn.sf`, `txn.c`, `txn.sc`.
    fn catalog(&self) -> Option<&dyn Catalog> {
        None
    }

    /// Proxies and servers.
    fn proxies(&self) -> Option<&dyn Proxies> {
        None
    }

    /// The event bus.
    fn events(&self) -> Option<&dyn Events> {
        None
    }

    /// Client sockets.
    fn sockets(&self) -> Option<&dyn Sockets> {
        None
    }

    /// The certificates that frontends serve.
    fn certificates(&self) -> Option<&dyn Certificates> {
        None
    }

    /// The HTTP client.
    fn http_client(&self) -> Option<&dyn HttpClient> {
        None
    }

    /// Compiles a regular expression, for `Regex.new`. The error's text reaches the script as a value.
    fn regex(&self, pattern: &str, case_sensitive: bool) -> HostResult<Arc<dyn Regex>> {
        let _ = (pattern, case_sensitive);
        Err(HostError::Unsupported("regular expressions"))
    }

    /// Maps and pattern references, for `Map.new`, `core.get_patref`, `core.set_map` and their kin.
    fn patterns(&self) -> Option<&dyn Patterns> {
        None
    }
}
const _: Option<&dyn Core> = None;

/// A sample fetch or converter that the host resolved once; the number is the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleId(pub u32);

/// The host's tables of sample fetches and converters.
pub trait Catalog {
    /// The fetch whose name becomes `lua_name` when `.`, `-` and `+` are written `_`.
    /// Functions that Lua itself registered are not found here, as in HAProxy.
    fn fetch(&self, lua_name: &str) -> Option<SampleId>;
    /// The converter of that name, by the same rule.
    fn converter(&self, lua_name: &str) -> Option<SampleId>;
}
const _: Option<&dyn Catalog> = None;
