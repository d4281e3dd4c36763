//! proxy-core's extension points, filled by Lua functions: actions, fetches, converters, services.
//!
//! A function is named `lua.NAME` in the configuration. Each place that names one is a *site*: it
//! gets a number while the configuration is read, and each worker binds that number to a call in
//! its own VM when it first runs it.

mod filter;
pub mod keywords;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hlua::{
    ActionContext, Execution, FunctionKind, ServiceMode, VmKind,
    host::{Lent, LocalFuture},
};
use parking_lot::RwLock;
use proxy_core::{
    action::{Action, ActionKeyword, ActionMaker, Verdict},
    applet::{AppletIo, Ended, Service, ServiceMaker},
    cfgparse::ParseError,
    registry::{ParseContext, Registry},
    rules::RuleSet,
    sample::{Arg, Converter, Fetch, Sample, SampleType},
    txn::{Direction, Txn},
    worker::Worker,
};

use super::{
    Extension,
    hlua_proxy_core::{LuaApplet, LuaTxn},
    hlua_scheduler::report,
    values,
};

pub use filter::FilterLine;

/// Lua gives up to this many arguments to a fetch or converter.
const ARGS_MAX: usize = 12;

/// Every place of the configuration that names a Lua function.
#[derive(Default)]
pub struct Sites {
    functions: RwLock<Vec<Site>>,
    filters: RwLock<Vec<FilterLine>>,
    cli: RwLock<Vec<CliCommand>>,
}

/// A command of the runtime API that a script registered.
struct CliCommand {
    words: Vec<String>,
    usage: String,
    site: usize,
}

/// One place: the function and the arguments written there.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where the function lives.
    pub vm: VmKind,
    /// What it is.
    pub kind: FunctionKind,
    /// Its name, without `lua.`.
    pub name: String,
    /// The arguments as written.
    pub args: Vec<String>,
}

impl Sites {
    fn add(&self, site: Site) -> usize {
        let mut sites = self.functions.write();
        sites.push(site);
        sites.len() - 1
    }

    fn add_filter(&self, line: FilterLine) -> usize {
        let mut lines = self.filters.write();
        lines.push(line);
        lines.len() - 1
    }

    /// Every `filter lua.NAME` line, by number.
    #[must_use]
    pub fn filters(&self) -> Vec<FilterLine> {
        self.filters.read().clone()
    }

    /// The site of that number.
    #[must_use]
    pub fn find(&self, number: usize) -> Option<Site> {
        self.functions.read().get(number).cloned()
    }

    /// The service that answers a command: of those whose words it begins with, the one with most.
    #[must_use]
    pub fn cli_command(&self, typed: &[&str]) -> Option<Arc<dyn ServiceMaker>> {
        let commands = self.cli.read();
        let begins = |command: &&CliCommand| {
            let front = typed.get(..command.words.len());
            front.is_some_and(|front| command.words.iter().eq(front))
        };
        let found = commands.iter().filter(begins).max_by_key(|command| command.words.len())?;
        let words = typed.iter().map(|&word| word.to_owned()).collect();
        Some(Arc::new(LuaCommand { site: found.site, words }))
    }

    /// The words and usage of each command.
    #[must_use]
    pub fn cli_commands(&self) -> Vec<(String, String)> {
        let commands = self.cli.read();
        commands.iter().map(|command| (command.words.join(" "), command.usage.clone())).collect()
    }
}

/// Adds what a script registered to the configuration's tables.
pub fn register(registry: &mut Registry, vm: VmKind, functions: &hlua::Registry, sites: &Arc<Sites>) {
    for name in &functions.filters {
        let keyword = filter::LuaFilterKeyword { vm, name: name.clone(), sites: sites.clone() };
        registry.filters.insert(format!("lua.{name}"), Arc::new(keyword));
    }
    for function in &functions.functions {
        let name = format!("lua.{}", function.name);
        let function = Function {
            vm,
            kind: function.kind.clone(),
            name: function.name.clone(),
            full_name: name.clone(),
            sites: sites.clone(),
        };
        match function.kind {
            FunctionKind::Action { .. } => drop(registry.actions.insert(name, Arc::new(function))),
            FunctionKind::Fetch => drop(registry.fetches.insert(name, Arc::new(function))),
            FunctionKind::Converter => drop(registry.converters.insert(name, Arc::new(function))),
            FunctionKind::Service(_) => {
                let site = function.site(Vec::new());
                let maker = LuaServiceMaker { full_name: function.full_name, kind: function.kind, site };
                registry.services.insert(name, Arc::new(maker));
            }
            FunctionKind::Cli { ref words, ref usage } => function.offer(words, usage),
        }
    }
}

/// A registered function, before the configuration names it anywhere.
struct Function {
    vm: VmKind,
    kind: FunctionKind,
    name: String,
    full_name: String,
    sites: Arc<Sites>,
}

impl Function {
    fn site(&self, args: Vec<String>) -> usize {
        self.sites.add(Site { vm: self.vm, kind: self.kind.clone(), name: self.name.clone(), args })
    }

    /// Makes it a command; one registered again has another usage, and in the other VM another function.
    fn offer(&self, words: &[String], usage: &str) {
        let mut commands = self.sites.cli.write();
        commands.retain(|command| command.words != words);
        let site = self.site(Vec::new());
        commands.push(CliCommand { words: words.to_vec(), usage: usage.to_owned(), site });
    }

    fn sample_args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError> {
        if raw.len() > ARGS_MAX {
            return Err(ParseError::new(format!("'{}' takes at most {ARGS_MAX} arguments", self.full_name)));
        }
        let site = self.site(raw.iter().map(|&arg| arg.to_owned()).collect());
        Ok(vec![Arg::Int(i64::try_from(site).expect("fewer sites than that"))])
    }
}

fn site_of(args: &[Arg]) -> usize {
    match args {
        [Arg::Int(site)] => usize::try_from(*site).expect("made by sample_args"),
        _ => unreachable!("made by sample_args"),
    }
}

impl Fetch for Function {
    fn output(&self) -> SampleType {
        SampleType::Str
    }

    fn args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError> {
        self.sample_args(raw)
    }

    fn fetch(&self, txn: &mut Txn, args: &[Arg], direction: Direction) -> Option<Sample> {
        let worker = txn.worker.clone();
        let (runtime, call) = Extension::of(&worker).lua_call(site_of(args))?;
        let lent = LuaTxn::lend(txn.take(), direction);
        let (lent, result) = runtime.fetch(call, lent, worker.host.now());
        *txn = LuaTxn::back(lent);
        match result {
            Ok(value) => value.map(values::from_lua),
            Err(error) => {
                report(&worker, Some(txn), &error);
                None
            }
        }
    }
}

impl Converter for Function {
    fn input(&self) -> SampleType {
        SampleType::Str
    }

    fn output(&self) -> SampleType {
        SampleType::Str
    }

    fn args(&self, raw: &[&str]) -> Result<Vec<Arg>, ParseError> {
        self.sample_args(raw)
    }

    fn convert(&self, txn: &mut Txn, input: Sample, args: &[Arg]) -> Option<Sample> {
        let worker = &txn.worker;
        let (runtime, call) = Extension::of(worker).lua_call(site_of(args))?;
        match runtime.convert(call, values::to_lua_borrowed(&input), worker.host.now()) {
            Ok(value) => value.map(values::from_lua),
            Err(error) => {
                report(&worker.clone(), Some(txn), &error);
                None
            }
        }
    }
}

impl ActionKeyword for Function {
    fn allowed_in(&self, at: RuleSet) -> bool {
        let FunctionKind::Action { contexts, .. } = &self.kind else { return false };
        contexts.iter().any(|context| {
            matches!(
                (context, at),
                (ActionContext::TcpReq, RuleSet::TcpRequest)
                    | (ActionContext::TcpRes, RuleSet::TcpResponse)
                    | (ActionContext::HttpReq, RuleSet::HttpRequest)
                    | (ActionContext::HttpRes, RuleSet::HttpResponse)
                    | (ActionContext::HttpAfterRes, RuleSet::HttpAfterResponse)
            )
        })
    }

    fn parse(
        &self,
        args: &[&str],
        _cx: &mut ParseContext<'_>,
        _at: RuleSet,
    ) -> Result<Arc<dyn ActionMaker>, ParseError> {
        let FunctionKind::Action { nb_args, .. } = self.kind else {
            return Err(ParseError::new(format!("'{}' is not an action", self.full_name)));
        };
        if args.len() != nb_args {
            return Err(ParseError::new(format!("'{}' expects {nb_args} arguments", self.full_name)));
        }
        let site = self.site(args.iter().map(|&arg| arg.to_owned()).collect());
        Ok(Arc::new(LuaActionMaker { site }))
    }
}

/// An action at one place of the configuration.
struct LuaActionMaker {
    site: usize,
}

impl ActionMaker for LuaActionMaker {
    fn start(&self, worker: &Worker, at: RuleSet) -> Box<dyn Action> {
        let mut action = LuaAction { site: self.site, at, run: None, wake: None };
        action.begin(worker);
        Box::new(action)
    }
}

fn direction_of(at: RuleSet) -> Direction {
    match at {
        RuleSet::TcpResponse | RuleSet::HttpResponse | RuleSet::HttpAfterResponse => Direction::Response,
        _ => Direction::Request,
    }
}

/// One run of an action, begun anew each time it ends in `act.YIELD`.
struct LuaAction {
    site: usize,
    at: RuleSet,
    run: Option<Execution>,
    /// When it wants to run again.
    wake: Option<LocalFuture<()>>,
}

impl LuaAction {
    fn begin(&mut self, worker: &Worker) {
        self.run = Extension::of(worker).lua_call(self.site).map(|(runtime, call)| runtime.start(call));
    }

    /// `act.YIELD`: the script runs again from its start when something has happened, at the latest after what
    /// `act.wake_time` said. In TCP mode `inspect-delay` decides, unless there is such a time.
    fn again(&mut self, txn: &Txn, after: Option<Duration>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let tcp = matches!(self.at, RuleSet::TcpRequest | RuleSet::TcpResponse) && txn.req.is_empty();
        if tcp && txn.channel(direction_of(self.at)).settled() {
            return Poll::Ready(Verdict::Continue);
        }
        if tcp && after.is_none() {
            return Poll::Ready(Verdict::WaitData);
        }
        self.begin(&txn.worker);
        let at = after.map(|after| txn.worker.host.now() + after);
        self.wake = at.and_then(|at| Extension::of(&txn.worker).sleep_until(at));
        if self.wake.as_mut().is_some_and(|wake| wake.as_mut().poll(cx).is_ready()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Action for LuaAction {
    fn poll(&mut self, txn: Txn, cx: &mut Context<'_>) -> (Txn, Poll<Verdict>) {
        let Some(run) = &mut self.run else { return (txn, Poll::Ready(Verdict::Continue)) };
        let worker = txn.worker.clone();
        let lent = Lent::Txn(LuaTxn::lend(txn, direction_of(self.at)));
        let (lent, result) = run.poll(lent, worker.host.now(), cx);
        let mut lent = LuaTxn::back_whole(lent.into_txn().expect("a lent TXN comes back"));
        let verdict = match result {
            Poll::Pending => return (lent.keep(), Poll::Pending),
            Poll::Ready(Ok(outcome)) if outcome.done => lent.done_verdict(),
            Poll::Ready(Ok(outcome)) if outcome.action_code() == YIELD => {
                let txn = lent.keep();
                let verdict = self.again(&txn, outcome.wake_after, cx);
                return (txn, verdict);
            }
            Poll::Ready(Ok(outcome)) => verdict_of(outcome.action_code(), direction_of(self.at)),
            Poll::Ready(Err(error)) => {
                report(&worker, Some(&lent.txn), &error);
                Verdict::Continue
            }
        };
        (lent.keep(), Poll::Ready(verdict))
    }
}

/// `act.YIELD`
const YIELD: i64 = 2;

/// What another `act.…` code means (lua-api "act class").
fn verdict_of(code: i64, direction: Direction) -> Verdict {
    let deny = |request: u16| {
        let status = if direction == Direction::Request { request } else { 502 };
        Verdict::Deny(Box::new(proxy_core::applet::Reply { status, ..Default::default() }))
    };
    match code {
        1 | 4 => Verdict::Stop,
        3 => Verdict::Fail,
        5 => deny(403),
        6 => Verdict::Close,
        7 => deny(400),
        _ => Verdict::Continue,
    }
}

/// A service of the configuration.
struct LuaServiceMaker {
    full_name: String,
    kind: FunctionKind,
    site: usize,
}

impl ServiceMaker for LuaServiceMaker {
    fn name(&self) -> &str {
        &self.full_name
    }

    fn is_http(&self) -> bool {
        self.kind == FunctionKind::Service(ServiceMode::Http)
    }

    fn start(self: Arc<Self>, worker: &Worker) -> Box<dyn Service> {
        let run = Extension::of(worker).lua_call(self.site).map(|(runtime, call)| runtime.start(call));
        Box::new(LuaService { run, applet: None, http: self.is_http() })
    }
}

/// A command with the words that somebody typed.
struct LuaCommand {
    site: usize,
    words: Vec<String>,
}

impl ServiceMaker for LuaCommand {
    fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    fn is_http(&self) -> bool {
        false
    }

    fn start(self: Arc<Self>, worker: &Worker) -> Box<dyn Service> {
        let words: Vec<&[u8]> = self.words.iter().map(String::as_bytes).collect();
        let call = Extension::of(worker).lua_call(self.site);
        let run = call.map(|(runtime, call)| runtime.start_with(call, &words));
        Box::new(LuaService { run, applet: None, http: false })
    }
}

/// One run of a service.
struct LuaService {
    run: Option<Execution>,
    applet: Option<Box<LuaApplet>>,
    http: bool,
}

impl Service for LuaService {
    fn poll(&mut self, io: AppletIo, cx: &mut Context<'_>) -> (AppletIo, Poll<Ended>) {
        let Some(run) = &mut self.run else { return (io, Poll::Ready(Ended::Failed)) };
        let worker = io.txn.worker.clone();
        let spare = &Extension::of(&worker).spare_applet;
        let applet = self.applet.take().or_else(|| spare.take()).unwrap_or_default().with(io);
        let lent = if self.http { Lent::AppletHttp(applet) } else { Lent::AppletTcp(applet) };
        let (lent, result) = run.poll(lent, worker.host.now(), cx);
        let (applet, io) = LuaApplet::back(lent);
        let ended = match result {
            Poll::Pending => {
                self.applet = Some(applet);
                return (io, Poll::Pending);
            }
            Poll::Ready(Ok(_)) => Ended::Done,
            Poll::Ready(Err(error)) => {
                report(&worker, Some(&io.txn), &error);
                Ended::Failed
            }
        };
        spare.set(Some(applet));
        (io, Poll::Ready(ended))
    }
}
