//! One exchange with an agent on behalf of a stream: asked, awaited, applied, logged.

use std::{
    future::Future as _,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use proxy_core::{
    log::Level,
    sample::Sample,
    txn::{Direction, Txn},
    vars::VarName,
};
use smallvec::SmallVec;
use spoe::{
    Action, Actions, Exchange, NotifyWriter, Scope, StreamError, StreamId, TypedData, message::LogLine,
};

use super::{EngineSpec, Label, Message, Running};

/// An exchange under way.
pub(super) struct Question {
    running: Rc<Running>,
    exchange: Exchange,
    since: Instant,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// With an answer, or there was nothing to ask.
    Yes,
    /// With an error.
    Failed,
}

/// What a stream remembers of an engine.
#[derive(Clone, Copy, Default)]
struct Memory {
    failed: bool,
    total: Duration,
}

/// One for each engine, by its number: nearly always one.
type Memories = SmallVec<[Memory; 2]>;

impl Question {
    /// Asks, with the arguments' present values. `None`: this engine is off for this stream, or for
    /// this second (`maxerrrate`).
    pub(super) fn ask(
        running: Rc<Running>,
        spec: &EngineSpec,
        messages: &[Message],
        direction: Direction,
        txn: &mut Txn,
    ) -> Option<Self> {
        if running.engine.is_suspended() || (memory(spec, txn).failed && !spec.agent.continue_on_error) {
            return None;
        }
        let stream = StreamId(txn.id);
        let exchange = running.engine.exchange(stream, &mut |writer| {
            for message in messages {
                write(writer, message, direction, txn);
            }
        });
        Some(Self { running, exchange, since: txn.worker.host.now() })
    }

    /// Waits for the answer, then sets the variables.
    pub(super) fn poll(
        &mut self,
        spec: &EngineSpec,
        label: Label<'_>,
        txn: &mut Txn,
        cx: &mut Context<'_>,
    ) -> Poll<Answered> {
        let answer = ready!(Pin::new(&mut self.exchange).poll(cx));
        let took = txn.worker.host.now().saturating_duration_since(self.since);
        match answer {
            Ok(actions) if !actions.is_answer() => {}
            Ok(actions) => {
                self.apply(spec, &actions, txn);
                self.finish(spec, label, None, took, txn);
            }
            Err(error) => {
                self.finish(spec, label, Some(error), took, txn);
                return Poll::Ready(Answered::Failed);
            }
        }
        Poll::Ready(Answered::Yes)
    }

    fn apply(&self, spec: &EngineSpec, actions: &Actions, txn: &mut Txn) {
        let prefix = &spec.agent.var_prefix;
        for action in actions.iter() {
            let (scope, name) = match &action {
                Action::SetVar { scope, name, .. } | Action::UnsetVar { scope, name } => (*scope, *name),
            };
            let Some(variable) = self.running.name(prefix, scope, name) else { continue };
            if scope == Scope::Process && !spec.may_set_proc(&variable, txn) {
                continue;
            }
            match action {
                Action::SetVar { value, .. } => match sample(value) {
                    Some(value) => drop(txn.set_var(&variable, value)),
                    None => drop(txn.unset_var(&variable)),
                },
                Action::UnsetVar { .. } => drop(txn.unset_var(&variable)),
            }
        }
    }

    fn finish(
        &self,
        spec: &EngineSpec,
        label: Label<'_>,
        error: Option<StreamError>,
        took: Duration,
        txn: &mut Txn,
    ) {
        let memory = memory(spec, txn);
        memory.failed |= error.is_some();
        memory.total += took;
        let total = memory.total;
        let code = error.map_or(0, StreamError::code);
        let set = |name: &Option<String>, value: i64, txn: &mut Txn| {
            if let Some(name) = name.as_ref().and_then(|name| own_variable(spec, name)) {
                txn.set_var(&name, Sample::Int(value));
            }
        };
        if error.is_some() {
            set(&spec.agent.set_on_error, code.into(), txn);
        }
        set(&spec.agent.set_process_time, millis(took), txn);
        set(&spec.agent.set_total_time, millis(total), txn);
        let logs = spec.log_global || !spec.log.is_empty();
        if logs && (error.is_some() || !spec.agent.dontlog_normal) {
            self.log(spec, label, code, took, txn);
        }
    }

    fn log(&self, spec: &EngineSpec, label: Label<'_>, code: u32, took: Duration, txn: &Txn) {
        let stats = self.running.engine.stats();
        let line = LogLine {
            agent: &spec.agent.name.text,
            occasion: label.occasion,
            stream: txn.id,
            status: code,
            time: took,
            errors: stats.errors,
            processed: stats.processed,
        };
        let level = if code == 0 { Level::Notice } else { Level::Warning };
        let line = line.to_string();
        let global = spec.log_global.then_some(&txn.worker.shared.config.global.logs);
        for targets in global.into_iter().chain([&spec.log]).filter(|targets| !targets.is_empty()) {
            proxy_core::log::send(&txn.worker, targets, level, line.as_bytes());
        }
    }
}

fn memory<'a>(spec: &EngineSpec, txn: &'a mut Txn) -> &'a mut Memory {
    let place = txn.private(spec.slot).get_or_insert_with(|| Box::<Memories>::default());
    let all: &mut Memories = place.downcast_mut().expect("invariant: the slot is the engines' own");
    if all.len() <= spec.number {
        all.resize(spec.number + 1, Memory::default());
    }
    &mut all[spec.number]
}

fn own_variable(spec: &EngineSpec, name: &str) -> Option<VarName> {
    VarName::parse(&format!("txn.{}.{name}", spec.agent.var_prefix)).ok()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn write(writer: &mut NotifyWriter<'_>, message: &Message, direction: Direction, txn: &mut Txn) {
    if message.cond.as_ref().is_some_and(|cond| !cond.holds(txn, direction)) {
        return;
    }
    writer.message(&message.name);
    for (name, expr) in &message.args {
        let value = expr.eval(txn, direction);
        writer.arg(name, typed(value.as_ref()));
    }
}

/// A sample as SPOP types it.
fn typed(sample: Option<&Sample>) -> TypedData<'_> {
    match sample {
        Some(Sample::Bool(flag)) => TypedData::Bool(*flag),
        Some(Sample::Int(number)) => TypedData::Int64(*number),
        Some(Sample::Addr(IpAddr::V4(ip))) => TypedData::Ipv4(*ip),
        Some(Sample::Addr(IpAddr::V6(ip))) => TypedData::Ipv6(*ip),
        Some(Sample::Str(text) | Sample::Method(text)) => TypedData::String(text),
        Some(Sample::Bin(bytes)) => TypedData::Binary(bytes),
        _ => TypedData::Null,
    }
}

/// An agent's value as a sample; `None` takes the variable away.
fn sample(value: TypedData<'_>) -> Option<Sample> {
    Some(match value {
        TypedData::Null => return None,
        TypedData::Bool(flag) => Sample::Bool(flag),
        TypedData::Int32(number) => Sample::Int(number.into()),
        TypedData::Uint32(number) => Sample::Int(number.into()),
        TypedData::Int64(number) => Sample::Int(number),
        TypedData::Uint64(number) => Sample::Int(number.cast_signed()),
        TypedData::Ipv4(ip) => Sample::Addr(ip.into()),
        TypedData::Ipv6(ip) => Sample::Addr(ip.into()),
        TypedData::String(text) => Sample::Str(text.to_vec()),
        TypedData::Binary(bytes) => Sample::Bin(bytes.to_vec()),
    })
}
