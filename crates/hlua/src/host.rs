//! What this crate needs from outside, cut along the classes of HAProxy's Lua API.
//!
//! Start with [`Core`] (two methods without a default body) and one [`Txn`]: that runs actions, fetches and
//! converters. Everything else has a default body that means "this host has none" and reaches the script as a
//! Lua error naming what is missing. [`memory`] is a whole host in memory, for tests and to read as an example.
//!
//! Rules of the edge:
//! * no Lua value crosses it: [`Value`] holds what both sides have;
//! * a [`Txn`] or applet is lent by move with each poll and handed back with each answer (see [`Lent`]);
//! * nothing here blocks: what waits is a `poll_*` method or a boxed future;
//! * a host is never called while it is itself being called by us, except that evaluating a fetch or converter
//!   may run another Lua function of the same VM.
//!
//! Source: HAProxy 3.4 `doc/lua-api/index.rst`, one trait a class or group of classes.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

pub mod memory;

/// A future that stays on its thread.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A sample at the edge: what a fetch yields, a converter takes, a variable holds, a Lua function returns.
///
/// Lua numbers are integers here (a float with a fraction becomes 0 as in HAProxy); tables, functions and nil
/// become `Bool(false)` where HAProxy does so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// True or false. Scripts see 0 and 1 unless `tune.lua.bool-sample-conversion normal` is set.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// Text or binary.
    Str(Cow<'a, [u8]>),
    /// An address; a string for scripts.
    Ip(IpAddr),
}

impl Value<'_> {
    /// The same value, owning its bytes.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Bool(b) => Value::Bool(b),
            Value::Int(i) => Value::Int(i),
            Value::Str(s) => Value::Str(Cow::Owned(s.into_owned())),
            Value::Ip(ip) => Value::Ip(ip),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Str(Cow::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Str(Cow::Borrowed(bytes))
    }
}

impl From<i64> for Value<'_> {
    fn from(int: i64) -> Self {
        Value::Int(int)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

/// Why the host did not do as asked. Reaches the script as a Lua error with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The host has no such thing at all.
    #[error("{0}: not available on this host")]
    Unsupported(&'static str),
    /// The host has it and refused; the text is for the script's author.
    #[error("{0}")]
    Refused(Cow<'static, str>),
}

/// The result of a host call that a script sees.
pub type HostResult<T> = Result<T, HostError>;

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

    /// Pattern files, for the legacy `core.add_acl`, `core.del_acl`, `core.set_map`, `core.del_map`.
    fn patterns(&self) -> Option<&dyn Patterns> {
        None
    }
}
const _: Option<&dyn Core> = None;

/// A sample fetch or converter that the host resolved once; the number is the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// What every stream offers to a script, whether it runs an action, a fetch or an applet: samples, variables, log.
///
/// `Any` is a supertrait so that the host gets its own type back: `let any: Box<dyn Any> = txn;`.
pub trait Stream: Any {
    /// Evaluates a fetch. `Ok(None)`: no sample. Arguments are as in the configuration, strings mostly.
    fn fetch(&mut self, fetch: SampleId, args: &[Value<'_>]) -> HostResult<Option<Value<'_>>> {
        let _ = (fetch, args);
        Err(HostError::Unsupported("sample fetches"))
    }

    /// Runs `input` through a converter. `Ok(None)`: the converter gave nothing.
    fn convert(
        &mut self,
        converter: SampleId,
        input: Value<'_>,
        args: &[Value<'_>],
    ) -> HostResult<Option<Value<'_>>> {
        let _ = (converter, input, args);
        Err(HostError::Unsupported("converters"))
    }

    /// Sets a variable; the name has its scope (`txn.path`). False: no such scope, a bad name, or
    /// `if_exists` and it never was.
    fn set_var(&mut self, name: &[u8], value: Value<'_>, if_exists: bool) -> bool;

    /// Unsets a variable. False: no such scope or a bad name.
    fn unset_var(&mut self, name: &[u8]) -> bool;

    /// Reads a variable.
    fn var(&mut self, name: &[u8]) -> Option<Value<'_>>;

    /// Writes one log line in the name of this stream. Control bytes are already dots.
    fn log(&mut self, level: Level, message: &str);

    /// `txn:deflog`: a log line at the stream's own level.
    fn log_default(&mut self, message: &str) {
        self.log(Level::Info, message);
    }

    /// A place, one a stream, in which this crate keeps what `set_priv` stored. Keep it until the stream ends
    /// and drop it then. None: `set_priv` is an error.
    fn extension(&mut self) -> Option<&mut Option<Box<dyn Any>>> {
        None
    }
}
const _: Option<&dyn Stream> = None;

/// The class `TXN`: a stream as actions and fetches see it.
pub trait Txn: Stream {
    /// The HTTP messages; None on TCP streams (`txn.http` is then nil).
    fn http(&mut self) -> Option<&mut dyn Http> {
        None
    }

    /// One of the two channels.
    fn channel(&mut self, side: Side) -> Option<&mut dyn Channel> {
        let _ = side;
        None
    }

    /// `txn:done(reply)`: remembers that the transaction ends here, with this reply or, without one, by closing.
    /// The script ends right after; the host acts when it has the TXN back ([`Outcome::done`](crate::Outcome)).
    fn done(&mut self, reply: Option<Reply>) -> HostResult<()> {
        drop(reply);
        Err(HostError::Unsupported("txn:done"))
    }

    /// `txn:set_loglevel`; None for silent.
    fn set_loglevel(&mut self, level: Option<Level>) -> HostResult<()> {
        let _ = level;
        Err(HostError::Unsupported("txn:set_loglevel"))
    }

    /// `txn:set_fc_tos`.
    fn set_tos(&mut self, tos: i64) -> HostResult<()> {
        let _ = tos;
        Err(HostError::Unsupported("txn:set_fc_tos"))
    }

    /// `txn:set_fc_mark`.
    fn set_mark(&mut self, mark: i64) -> HostResult<()> {
        let _ = mark;
        Err(HostError::Unsupported("txn:set_fc_mark"))
    }

    /// `txn:set_priority_class`, already within -2047 to 2047.
    fn set_priority_class(&mut self, class: i32) -> HostResult<()> {
        let _ = class;
        Err(HostError::Unsupported("txn:set_priority_class"))
    }

    /// `txn:set_priority_offset` in milliseconds, already within -524287 to 524287.
    fn set_priority_offset(&mut self, offset: i32) -> HostResult<()> {
        let _ = offset;
        Err(HostError::Unsupported("txn:set_priority_offset"))
    }
}
const _: Option<&dyn Txn> = None;

/// A response made by a script and given to `txn:done`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// 100 to 599.
    pub status: u16,
    /// None: the host's default text for the status.
    pub reason: Option<Vec<u8>>,
    /// In no particular order between names; in order within a name. Free of CR, LF and NUL.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// Which way a message or channel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Client to server.
    Request,
    /// Server to client.
    Response,
}

/// The class `HTTP`. Headers come and go as bytes; names and values given here are free of CR, LF and NUL.
///
/// A host that runs request rules answers `Err` for what touches the response, and the reverse.
pub trait Http {
    /// Shows each header line in order of arrival.
    fn headers(&mut self, side: Side, visit: &mut dyn FnMut(&[u8], &[u8])) -> HostResult<()>;
    /// Adds a line at the end.
    fn add_header(&mut self, side: Side, name: &[u8], value: &[u8]) -> HostResult<()>;
    /// Removes every line of that name, whatever its case.
    fn del_header(&mut self, side: Side, name: &[u8]) -> HostResult<()>;
    /// Removes, then adds.
    fn set_header(&mut self, side: Side, name: &[u8], value: &[u8]) -> HostResult<()> {
        self.del_header(side, name)?;
        self.add_header(side, name, value)
    }
    /// `rep_header` (whole lines) or, with `each_value`, `rep_value` (comma-separated values), with a regular
    /// expression in the host's dialect and `\1` references in `replacement`.
    fn replace_header(
        &mut self,
        side: Side,
        name: &[u8],
        regex: &str,
        replacement: &[u8],
        each_value: bool,
    ) -> HostResult<()> {
        let _ = (side, name, regex, replacement, each_value);
        Err(HostError::Unsupported("header replacement"))
    }
    /// Changes one part of the request line. False: not possible (no room, bad bytes).
    fn set_request_part(&mut self, part: RequestPart, value: &[u8]) -> HostResult<bool> {
        let _ = (part, value);
        Err(HostError::Unsupported("request line changes"))
    }
    /// Changes the response's status; without a reason the host's default text.
    fn set_status(&mut self, status: u16, reason: Option<&[u8]>) -> HostResult<bool> {
        let _ = (status, reason);
        Err(HostError::Unsupported("res_set_status"))
    }
}
const _: Option<&dyn Http> = None;

/// A part of the request line, for [`Http::set_request_part`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestPart {
    /// The method.
    Method,
    /// The path; the query string stays.
    Path,
    /// The query string, given without its question mark.
    Query,
    /// The whole target.
    Uri,
}

/// The class `Channel`: one direction's buffer, between what came in and what is scheduled to go out.
pub trait Channel {
    /// HTTP streams allow only the length and state calls.
    fn is_http(&self) -> bool;
    /// Bytes that came in and are not yet scheduled (headers included on HTTP streams).
    fn input_len(&self) -> usize;
    /// Bytes scheduled and not yet gone.
    fn output_len(&self) -> usize;
    /// More input may come.
    fn may_recv(&self) -> bool;
    /// No room for more input.
    fn is_full(&self) -> bool;
    /// The input, in one piece.
    fn input(&self) -> &[u8] {
        &[]
    }
    /// Replaces `range` of the input. False: no room, nothing changed.
    fn splice(&mut self, range: std::ops::Range<usize>, with: &[u8]) -> HostResult<bool> {
        let _ = (range, with);
        Err(HostError::Unsupported("channel changes"))
    }
    /// Schedules up to `len` bytes of input and says how many.
    fn forward(&mut self, len: usize) -> HostResult<usize> {
        let _ = len;
        Err(HostError::Unsupported("channel forwarding"))
    }
    /// Ready when input grew since the last call, room appeared, or the channel closed.
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }
}
const _: Option<&dyn Channel> = None;

/// The byte side that both applet classes have.
pub trait AppletIo {
    /// What has arrived, at least a byte; empty at the end. The same bytes come again until
    /// [`consume`](Self::consume)d. Pending with `cx` registered when nothing is there.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>>;
    /// Drops `len` bytes of what [`poll_fill`](Self::poll_fill) showed.
    fn consume(&mut self, len: usize);
    /// Takes bytes to send and says how many it took; Pending with `cx` registered when there is no room.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;
}
const _: Option<&dyn AppletIo> = None;

/// The class `AppletTCP`.
pub trait AppletTcp: Stream + AppletIo {}
const _: Option<&dyn AppletTcp> = None;

/// The class `AppletHTTP`. The bytes of [`AppletIo`] are the bodies.
///
/// Status and headers go straight to the host's response; nothing is built in Lua in between.
pub trait AppletHttp: Stream + AppletIo {
    /// One of the parts of the request line; None where the request has none.
    fn request(&self, part: AppletPart) -> Option<&[u8]>;
    /// The body's length as HAProxy gives it: what is announced, 0 if unknown.
    fn length(&self) -> u64;
    /// Shows each request header in order of arrival.
    fn headers(&self, visit: &mut dyn FnMut(&[u8], &[u8]));
    /// The status to answer with, already within 100 to 599; 200 if never called.
    fn set_status(&mut self, status: u16, reason: Option<&[u8]>);
    /// Adds a response header, free of CR, LF and NUL. `content-length` and `transfer-encoding` steer framing.
    fn add_header(&mut self, name: &[u8], value: &[u8]) -> HostResult<()>;
    /// Sends the head. The host frames the body (chunked on HTTP/1.1 when no length was given).
    fn start_response(&mut self) -> HostResult<()>;
}
const _: Option<&dyn AppletHttp> = None;

/// A part of an applet's request, for [`AppletHttp::request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppletPart {
    /// `GET`
    Method,
    /// `1.1`
    Version,
    /// `/index.html`, without the query string.
    Path,
    /// What follows the question mark; empty if none.
    QueryString,
}

/// What a poll of an [`Execution`](crate::Execution) borrows from its host: taken at the call, back with the answer.
#[derive(Default)]
pub enum Lent {
    /// Tasks, events, converters.
    #[default]
    Nothing,
    /// Actions and fetches.
    Txn(Box<dyn Txn>),
    /// HTTP services.
    AppletHttp(Box<dyn AppletHttp>),
    /// TCP services.
    AppletTcp(Box<dyn AppletTcp>),
}

impl Lent {
    /// The TXN, if that is what was lent.
    pub fn into_txn(self) -> Option<Box<dyn Txn>> {
        match self {
            Lent::Txn(txn) => Some(txn),
            _ => None,
        }
    }

    /// Back to the host's own type, whatever was lent.
    pub fn into_any(self) -> Option<Box<dyn Any>> {
        match self {
            Lent::Nothing => None,
            Lent::Txn(txn) => Some(txn),
            Lent::AppletHttp(applet) => Some(applet),
            Lent::AppletTcp(applet) => Some(applet),
        }
    }
}

/// Client sockets, for the class `Socket`.
pub trait Sockets {
    /// Starts to connect. `tls` asks for TLS without verification (`connect_ssl`).
    fn connect(&self, target: Target, tls: bool) -> LocalFuture<io::Result<Box<dyn Socket>>>;
}
const _: Option<&dyn Sockets> = None;

/// Where a script wants to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address and port.
    Ip(SocketAddr),
    /// A path; `abns@name` is given with a leading NUL byte.
    Unix(Vec<u8>),
}

/// A connected stream socket. Bytes move in `poll_*`, dropping it closes it.
pub trait Socket {
    /// Reads some bytes; 0 at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>>;
    /// Writes some bytes and says how many.
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;
    /// Own end, for `getsockname`.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
    /// The other end, for `getpeername`.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }
}
const _: Option<&dyn Socket> = None;

/// The proxies of the configuration, for `core.proxies`, `core.backends`, `core.frontends`.
///
/// Objects that scripts keep hold only names and numbers, so a proxy or server that is gone is simply not found.
pub trait Proxies {
    /// Every proxy a script may see, in the configuration's order.
    fn list(&self) -> Vec<Rc<dyn Proxy>>;
    /// The proxy with this number ([`Proxy::uuid`]).
    fn by_uuid(&self, uuid: i64) -> Option<Rc<dyn Proxy>> {
        self.list().into_iter().find(|proxy| proxy.uuid() == uuid)
    }
    /// The server with these numbers ([`Server::puid`], [`Server::rid`]) in that proxy.
    fn server(&self, proxy_uuid: i64, puid: i64, rid: i64) -> Option<Rc<dyn Server>> {
        let proxy = self.by_uuid(proxy_uuid)?;
        proxy.servers().into_iter().find(|server| server.puid() == puid && server.rid() == rid)
    }
}
const _: Option<&dyn Proxies> = None;

/// A table of statistics: the columns of `show stat` in their order. Absent fields are left out.
pub type Stats = Vec<(String, Value<'static>)>;

/// The class `Proxy`.
pub trait Proxy {
    /// Its name.
    fn name(&self) -> String;
    /// Its number, unique in the process.
    fn uuid(&self) -> i64;
    /// `(frontend, backend)` capabilities; both for `listen`.
    fn capabilities(&self) -> (bool, bool);
    /// `tcp`, `http`, …
    fn mode(&self) -> String;
    /// Its servers in order; empty for a frontend.
    fn servers(&self) -> Vec<Rc<dyn Server>>;
    /// Its listeners' names and statistics; `sock-1` and so on where unnamed.
    fn listeners(&self) -> Vec<(String, Stats)> {
        Vec::new()
    }
    /// Statistics of the backend side if there is one, else of the frontend.
    fn stats(&self) -> Stats;
    /// Usable `(active, backup)` servers.
    fn usable_servers(&self) -> (i64, i64) {
        (0, 0)
    }
    /// Pause, resume, stop, cut the sessions on backup servers.
    fn command(&self, command: ProxyCommand) -> HostResult<()> {
        let _ = command;
        Err(HostError::Unsupported("proxy commands"))
    }
}
const _: Option<&dyn Proxy> = None;

/// What `Proxy`'s methods ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyCommand {
    /// `pause`
    Pause,
    /// `resume`
    Resume,
    /// `stop`; for good.
    Stop,
    /// `shut_bcksess`
    ShutBackupSessions,
}

/// The class `Server`.
pub trait Server {
    /// Its name.
    fn name(&self) -> String;
    /// Its number within the proxy.
    fn puid(&self) -> i64;
    /// Its revision: tells a server from an earlier one with the same number.
    fn rid(&self) -> i64;
    /// The proxy it belongs to.
    fn proxy(&self) -> Rc<dyn Proxy>;
    /// `ip:port`, a path, or `<unknown>`.
    fn address(&self) -> String;
    /// Being drained.
    fn is_draining(&self) -> bool;
    /// Is a backup server.
    fn is_backup(&self) -> bool {
        false
    }
    /// Was added at run time.
    fn is_dynamic(&self) -> bool {
        false
    }
    /// Sessions it has now.
    fn current_sessions(&self) -> i64;
    /// Connections that wait for it.
    fn pending_connections(&self) -> i64;
    /// Its limit; 0 for none.
    fn maxconn(&self) -> i64;
    /// The weight set by the user.
    fn weight(&self) -> i64;
    /// Statistics.
    fn stats(&self) -> Stats;
    /// The server it tracks.
    fn tracking(&self) -> Option<Rc<dyn Server>> {
        None
    }
    /// The servers that track it.
    fn trackers(&self) -> Vec<Rc<dyn Server>> {
        Vec::new()
    }
    /// Changes it. `Ok(text)` with a report, possibly empty; `Refused` with the runtime API's error text.
    fn command(&self, command: ServerCommand) -> HostResult<String> {
        let _ = command;
        Err(HostError::Unsupported("server commands"))
    }
}
const _: Option<&dyn Server> = None;

/// What `Server`'s methods ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerCommand {
    /// `set_maxconn`, as typed.
    Maxconn(String),
    /// `set_weight`, as typed: absolute or with a percent sign.
    Weight(String),
    /// `set_addr`, with the port if given.
    Address(String, Option<String>),
    /// `shut_sess`
    ShutSessions,
    /// `set_drain`
    Drain,
    /// `set_maint`
    Maint,
    /// `set_ready`
    Ready,
    /// `check_enable`
    CheckEnable,
    /// `check_disable`
    CheckDisable,
    /// `check_force_up`
    CheckForceUp,
    /// `check_force_nolb`
    CheckForceNolb,
    /// `check_force_down`
    CheckForceDown,
    /// `agent_enable`
    AgentEnable,
    /// `agent_disable`
    AgentDisable,
    /// `agent_force_up`
    AgentForceUp,
    /// `agent_force_down`
    AgentForceDown,
}

/// The event bus, for `core.event_sub` and `Server:event_sub`.
pub trait Events {
    /// Whether an event of this name exists; scripts get an error for one that does not.
    fn is_known(&self, name: &str) -> bool;
    /// Subscribes. The stream's queue is bounded: above 100 waiting the host pauses the subscription until it
    /// is drained, and tells through [`EventStream::take_overflow`].
    fn subscribe(&self, scope: Scope, names: &[String]) -> HostResult<Subscribed>;
}
const _: Option<&dyn Events> = None;

/// What is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The global list.
    Global,
    /// One server's own list.
    Server {
        /// [`Proxy::uuid`]
        proxy_uuid: i64,
        /// [`Server::puid`]
        puid: i64,
        /// [`Server::rid`]
        rid: i64,
    },
}

/// Both ends of a new subscription.
pub struct Subscribed {
    /// What the handler's task reads.
    pub events: Box<dyn EventStream>,
    /// What `sub:unsub()` uses.
    pub handle: Box<dyn EventHandle>,
}

/// The queue of one subscription.
pub trait EventStream {
    /// The next event in order; `Ready(None)` after the last, once unsubscribed or torn down.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>>;
    /// Called before each event: if the queue overflowed and paused since the last call, how many were waiting.
    fn take_overflow(&mut self) -> Option<usize> {
        None
    }
}
const _: Option<&dyn EventStream> = None;

/// The way to end one subscription, from any thread (the shared VM's scripts may run on another worker than the
/// one that subscribed). Dropping it changes nothing.
pub trait EventHandle: Send + Sync {
    /// Ends it: what is already queued is still delivered, then the stream ends. May be repeated.
    fn unsubscribe(&self);
}
const _: Option<&dyn EventHandle> = None;

/// An event as a handler gets it: `(name, data, sub, when)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `SERVER_UP`, …
    pub name: &'static str,
    /// Seconds since the epoch.
    pub when: i64,
    /// The table handed to the handler; None gives nil.
    pub data: Option<ServerEvent>,
}

/// The class `ServerEvent`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerEvent {
    /// The server's name.
    pub name: String,
    /// The server's number in its proxy.
    pub puid: i64,
    /// The server's revision.
    pub rid: i64,
    /// The proxy's name.
    pub proxy_name: String,
    /// The proxy's number.
    pub proxy_uuid: i64,
    /// What the event's kind adds.
    pub details: ServerEventDetails,
}

/// What a kind of server event adds to the common fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ServerEventDetails {
    /// `SERVER_UP`, `SERVER_DOWN`, `SERVER_ADD`, `SERVER_DEL`.
    #[default]
    None,
    /// `SERVER_STATE`
    State(ServerEventState),
    /// `SERVER_ADMIN`
    Admin(ServerEventAdmin),
    /// `SERVER_CHECK`
    Check(ServerEventCheck),
    /// `SERVER_INETADDR`: previous and next address (the tables are ours, HAProxy gives none).
    Inetaddr {
        /// `ip:port` before.
        prev: String,
        /// `ip:port` after.
        next: String,
    },
}

/// The class `ServerEventState`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerEventState {
    /// An administrative change.
    pub admin: bool,
    /// Only when a check caused it.
    pub check: Option<ServerEventCheck>,
    /// May be empty.
    pub cause: String,
    /// `STOPPED`, `STOPPING`, `STARTING`, `RUNNING`
    pub old_state: &'static str,
    /// The same set.
    pub new_state: &'static str,
    /// Connections put back in the queue.
    pub requeued: i64,
}

/// The class `ServerEventAdmin`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerEventAdmin {
    /// May be empty.
    pub cause: String,
    /// Flags before: `MAINT`, `FMAINT`, `IMAINT`, `RMAINT`, `CMAINT`, `DRAIN`, `FDRAIN`, `IDRAIN`.
    pub old_admin: BTreeMap<&'static str, bool>,
    /// Flags after.
    pub new_admin: BTreeMap<&'static str, bool>,
    /// Connections put back in the queue.
    pub requeued: i64,
}

/// The class `ServerEventCheckRes`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerEventCheck {
    /// `FAILED`, `PASSED`, `CONDPASS`
    pub result: Option<&'static str>,
    /// By the agent check.
    pub agent: bool,
    /// Milliseconds.
    pub duration: i64,
    /// Short status, such as `L4CON`.
    pub reason_short: String,
    /// The same in words.
    pub reason_desc: String,
    /// Layer 5 to 7 code, where the status has one.
    pub reason_code: Option<i64>,
    /// Health now.
    pub health_cur: i64,
    /// Rise threshold.
    pub health_rise: i64,
    /// Fall threshold.
    pub health_fall: i64,
}

/// Pattern files by name, for the legacy map and ACL calls of `core`.
pub trait Patterns {
    /// Adds an ACL key, or sets a map key to `value`. False: no file of that name.
    fn set(&self, file: &str, key: &str, value: Option<&str>) -> bool;
    /// Removes a key; absent keys are fine. False: no file of that name.
    fn del(&self, file: &str, key: &str) -> bool;
}
const _: Option<&dyn Patterns> = None;
