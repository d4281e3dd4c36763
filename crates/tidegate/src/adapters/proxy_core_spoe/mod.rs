//! `filter spoe` and `send-spoe-group`: proxy-core's filter and action, carried out by a SPOE engine.
//!
//! ```text
//!   keywords ──► EngineSpec (compiled once, shared) ──► Engines (one engine a worker, made when first used)
//!                     │                                        ▲
//!                  SpoeFilter, one a stream ─── Question ──────┘   evaluates arguments into the NOTIFY,
//!                  SpoeGroup, an action                            applies the ACK's actions as variables
//! ```

mod health_check;
mod keywords;
mod question;
pub mod report;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use parking_lot::RwLock;
use proxy_core::{
    action::{Action, ActionMaker, Verdict},
    config::{Config, LogTarget, Mode, Proxy},
    error_pages,
    filter::{Filter, FilterMaker, Outcome, Point},
    rules::{RuleSet, acl::Cond},
    sample::expr::Expr,
    txn::{Direction, Txn},
    vars::VarName,
    worker::Worker,
};
use spoe::{Engine, EngineStats, Event, Scope, config::FailMode, message::Occasion};

pub use keywords::register;
use question::{Answered, Question};

use super::{Extension, spoe_scheduler::EngineHost};

/// One `filter spoe` line, compiled.
pub struct EngineSpec {
    proxy: String,
    /// The engine's name, unique in its proxy.
    engine: String,
    agent: spoe::config::Agent,
    events: Vec<(Point, Vec<Message>)>,
    /// The bits of the points of `events`.
    points: u32,
    groups: Vec<(String, Vec<Message>)>,
    log: Vec<LogTarget>,
    /// `log global`: the targets of the `global` section, too.
    log_global: bool,
    /// Where transactions keep what engines remember of them.
    slot: usize,
    /// Which of the configuration's engines it is, from 0.
    number: usize,
}

impl EngineSpec {
    /// What becomes of an exchange that the agent does not answer (`option fail`).
    fn without_answer(&self) -> Outcome {
        match self.agent.fail {
            FailMode::Open => Outcome::Passed,
            FailMode::Closed(status) => Outcome::Refused(status),
        }
    }

    /// Whether a command means it by `PROXY` or `PROXY/ENGINE`.
    fn is_called(&self, name: &str) -> bool {
        match name.split_once('/') {
            Some((proxy, engine)) => (proxy, engine) == (&*self.proxy, &*self.engine),
            None => name == self.proxy,
        }
    }

    /// The number of the group of that name.
    fn group(&self, name: &str) -> Option<usize> {
        self.groups.iter().position(|(known, _)| known == name)
    }

    fn backend_fault(&self, config: &Config) -> Option<String> {
        let (agent, backend, proxy) = (&self.agent.name.text, &self.agent.backend.text, &self.proxy);
        match config.backends.get(backend) {
            None => {
                Some(format!("SPOE agent '{agent}': unknown backend '{backend}', used by proxy '{proxy}'"))
            }
            Some(known) if known.mode == Mode::Http => Some(format!(
                "SPOE agent '{agent}': backend '{backend}', used by proxy '{proxy}', must have 'mode spop' or \
                 'mode tcp'"
            )),
            Some(_) => None,
        }
    }

    /// Process variables must be known: registered, set before, or the agent forces them.
    fn may_set_proc(&self, variable: &VarName, txn: &Txn) -> bool {
        let prefix = format!("{}.", self.agent.var_prefix);
        let own = variable.name.strip_prefix(&prefix);
        self.agent.force_set_var
            || self.agent.register_var_names.iter().any(|known| own == Some(&*known.text))
            || txn.var(variable).is_some()
    }
}

/// A message with its arguments compiled.
#[derive(Clone)]
struct Message {
    name: String,
    args: Vec<(String, Expr)>,
    cond: Option<Cond>,
}

/// Every engine of the configuration. Shared by all threads.
#[derive(Default)]
pub struct EnginePlan {
    specs: RwLock<Vec<Arc<EngineSpec>>>,
    references: RwLock<Vec<GroupReference>>,
    board: report::Board,
}

/// What a `send-spoe-group` rule names, and where it stands.
struct GroupReference {
    file: String,
    line: u32,
    proxy: String,
    engine: String,
    group: String,
}

impl EnginePlan {
    fn find(&self, proxy: &str, engine: &str) -> Option<Arc<EngineSpec>> {
        self.specs.read().iter().find(|spec| spec.proxy == proxy && spec.engine == engine).cloned()
    }

    fn add(&self, make: impl FnOnce(usize) -> EngineSpec) -> Arc<EngineSpec> {
        let mut specs = self.specs.write();
        let spec = Arc::new(make(specs.len()));
        specs.push(spec.clone());
        spec
    }

    /// Whether the configuration has no engine.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.specs.read().is_empty()
    }

    fn refer(&self, reference: GroupReference) {
        self.references.write().push(reference);
    }

    /// What is wrong once the whole configuration is known: agents without their backend, rules that
    /// name no engine or group of theirs.
    #[must_use]
    pub fn check(&self, config: &Config) -> Vec<String> {
        let backends =
            self.specs.read().iter().filter_map(|spec| spec.backend_fault(config)).collect::<Vec<_>>();
        let references = self.references.read();
        backends
            .into_iter()
            .chain(references.iter().filter_map(|reference| self.unknown(reference)))
            .collect()
    }

    fn unknown(&self, reference: &GroupReference) -> Option<String> {
        let GroupReference { file, line, proxy, engine, group } = reference;
        match self.find(proxy, engine) {
            None => Some(format!(
                "[{file}:{line}] : 'send-spoe-group' : unknown SPOE engine '{engine}' in proxy '{proxy}'"
            )),
            Some(spec) if spec.group(group).is_none() => Some(format!(
                "[{file}:{line}] : 'send-spoe-group' : unknown SPOE group '{group}' of engine '{engine}'"
            )),
            Some(_) => None,
        }
    }
}

/// The engines of one worker.
pub struct Engines {
    /// What they are made from.
    pub plan: Arc<EnginePlan>,
    running: RefCell<Vec<Option<Rc<Running>>>>,
}

/// One engine on one worker, with what it recycles.
pub struct Running {
    engine: Engine,
    names: RefCell<Vec<KnownName>>,
}

/// A variable that this agent has set before, with its name compiled.
struct KnownName {
    scope: Scope,
    name: Vec<u8>,
    compiled: Option<VarName>,
}

/// More names than this are compiled anew each time.
const NAMES_MAX: usize = 64;

impl Engines {
    /// None yet: an engine is made when it is first needed.
    #[must_use]
    pub fn new(plan: Arc<EnginePlan>) -> Self {
        Self { plan, running: RefCell::default() }
    }

    /// The engine of a spec, made when first asked for. `None`: its backend is not there.
    fn running(&self, spec: &EngineSpec, worker: &Rc<Worker>) -> Option<Rc<Running>> {
        if let Some(Some(running)) = self.running.borrow().get(spec.number) {
            return Some(running.clone());
        }
        let backend: Arc<Proxy> = worker.shared.config.backends.get(&spec.agent.backend.text)?.clone();
        let config = spec.agent.engine_config(backend.servers.len());
        let host = EngineHost::new(worker, backend, spec.agent.name.text.clone());
        let running =
            Rc::new(Running { engine: Engine::new(config, Box::new(host)), names: RefCell::default() });
        let mut all = self.running.borrow_mut();
        if all.len() <= spec.number {
            all.resize_with(spec.number + 1, || None);
        }
        all[spec.number] = Some(running.clone());
        Some(running)
    }

    /// What each engine that was asked for does at present.
    #[must_use]
    pub fn stats(&self) -> Vec<EngineStats> {
        self.running.borrow().iter().flatten().map(|running| running.engine.stats()).collect()
    }

    /// The same by the engine's number; `None` for those that were not asked for.
    fn by_number(&self) -> Vec<Option<EngineStats>> {
        let running = self.running.borrow();
        running.iter().map(|running| running.as_ref().map(|running| running.engine.stats())).collect()
    }

    /// Ends all at once. Must come before the worker goes, whose time and tasks they use.
    pub fn close(&self) {
        self.running.take();
    }

    /// Stops all softly: what runs may finish.
    pub fn stop(&self) {
        for running in self.running.borrow().iter().flatten() {
            running.engine.stop();
        }
    }
}

impl Running {
    /// The compiled name of an agent's variable; `None` if it is not a valid one.
    fn name(&self, prefix: &str, scope: Scope, name: &[u8]) -> Option<VarName> {
        let mut names = self.names.borrow_mut();
        if let Some(known) = names.iter().find(|known| known.scope == scope && known.name == name) {
            return known.compiled.clone();
        }
        let mut full = String::new();
        let valid = spoe::action::variable_name(scope, prefix, name, &mut full).is_ok();
        let compiled = valid.then(|| VarName::parse(&full).ok()).flatten();
        if names.len() < NAMES_MAX {
            names.push(KnownName { scope, name: name.to_vec(), compiled: compiled.clone() });
        }
        compiled
    }
}

/// A configured filter.
struct SpoeFilterMaker {
    spec: Arc<EngineSpec>,
}

impl FilterMaker for SpoeFilterMaker {
    fn attach(&self, _worker: &Worker) -> Box<dyn Filter> {
        Box::new(SpoeFilter { spec: self.spec.clone(), asked: None })
    }
}

/// The filter on one stream.
struct SpoeFilter {
    spec: Arc<EngineSpec>,
    asked: Option<Question>,
}

impl Filter for SpoeFilter {
    fn wants(&self, point: Point) -> bool {
        self.spec.points & point.bit() != 0
    }

    fn poll(&mut self, point: Point, mut txn: Txn, cx: &mut Context<'_>) -> (Txn, Poll<Outcome>) {
        let messages = self.spec.events.iter().find(|(at, _)| *at == point);
        let (Some((_, messages)), Some(label)) = (messages, event_label(point)) else {
            return (txn, Poll::Ready(Outcome::Passed));
        };
        let done = poll_question(&mut self.asked, &self.spec, messages, label, &mut txn, cx);
        (txn, done)
    }
}

/// A configured `send-spoe-group`.
struct SpoeGroupMaker {
    plan: Arc<EnginePlan>,
    proxy: String,
    engine: String,
    group: String,
    /// What these names mean, found at the first run.
    found: OnceLock<Option<(Arc<EngineSpec>, usize)>>,
}

impl SpoeGroupMaker {
    fn find(&self) -> Option<(Arc<EngineSpec>, usize)> {
        let spec = self.plan.find(&self.proxy, &self.engine)?;
        let group = spec.group(&self.group)?;
        Some((spec, group))
    }
}

impl ActionMaker for SpoeGroupMaker {
    fn start(&self, _worker: &Worker, at: RuleSet) -> Box<dyn Action> {
        let found = self.found.get_or_init(|| self.find()).clone();
        Box::new(SpoeGroup { found, direction: at.direction(), asked: None })
    }
}

/// One run of `send-spoe-group`.
struct SpoeGroup {
    // `None` cannot be: the check of the configuration refuses names that mean nothing.
    found: Option<(Arc<EngineSpec>, usize)>,
    direction: Direction,
    asked: Option<Question>,
}

impl Action for SpoeGroup {
    fn poll(&mut self, mut txn: Txn, cx: &mut Context<'_>) -> (Txn, Poll<Verdict>) {
        let Some((spec, group)) = &self.found else { return (txn, Poll::Ready(Verdict::Continue)) };
        let (name, messages) = &spec.groups[*group];
        let label = Label { occasion: Occasion::Group(name), direction: self.direction };
        let done = poll_question(&mut self.asked, spec, messages, label, &mut txn, cx);
        let verdict = done.map(|outcome| match outcome {
            Outcome::Passed => Verdict::Continue,
            Outcome::Refused(status) => {
                Verdict::Deny(Box::new(error_pages::reply(status, self.direction, &mut txn)))
            }
            Outcome::Failed => Verdict::Fail,
        });
        (txn, verdict)
    }
}

fn poll_question(
    asked: &mut Option<Question>,
    spec: &EngineSpec,
    messages: &[Message],
    label: Label<'_>,
    txn: &mut Txn,
    cx: &mut Context<'_>,
) -> Poll<Outcome> {
    let question = match asked {
        Some(question) => question,
        None => {
            let worker = txn.worker.clone();
            let running = Extension::of(&worker).engines.running(spec, &worker);
            let question =
                running.and_then(|running| Question::ask(running, spec, messages, label.direction, txn));
            let Some(question) = question else { return Poll::Ready(spec.without_answer()) };
            asked.insert(question)
        }
    };
    let answered = ready!(question.poll(spec, label, txn, cx));
    *asked = None;
    Poll::Ready(match answered {
        Answered::Yes => Outcome::Passed,
        Answered::Failed => spec.without_answer(),
    })
}

/// What an exchange is made for, and on which side of the stream.
#[derive(Clone, Copy)]
struct Label<'a> {
    occasion: Occasion<'a>,
    direction: Direction,
}

fn event_label(point: Point) -> Option<Label<'static>> {
    let direction = match point {
        Point::ServerSession | Point::TcpResponse | Point::HttpResponse => Direction::Response,
        _ => Direction::Request,
    };
    Some(Label { occasion: Occasion::Event(event_of(point)?), direction })
}

/// SPOP's name for a point that has one.
fn event_of(point: Point) -> Option<Event> {
    Some(match point {
        Point::ClientSession => Event::ClientSession,
        Point::FrontendTcpRequest => Event::FrontendTcpRequest,
        Point::FrontendHttpRequest => Event::FrontendHttpRequest,
        Point::BackendTcpRequest => Event::BackendTcpRequest,
        Point::BackendHttpRequest => Event::BackendHttpRequest,
        Point::ServerSession => Event::ServerSession,
        Point::TcpResponse => Event::TcpResponse,
        Point::HttpResponse => Event::HttpResponse,
        Point::Start(_) | Point::Head(_) | Point::End(_) | Point::Over(_) => return None,
    })
}
