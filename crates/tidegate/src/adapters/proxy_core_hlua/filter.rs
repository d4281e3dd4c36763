//! `filter lua.NAME`: proxy-core's filter, carried out by a script's class.
//!
//! A line is declared in each VM once the configuration is read, and opened for each stream when its
//! analysis begins.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use hlua::{Callback, Error, FilterAnswer, FilterInstance, VmKind, host::LocalFuture};
use proxy_core::{
    cfgparse::ParseError,
    filter::{Filter, FilterKeyword, FilterMaker, Outcome, Passage, Point},
    registry::ParseContext,
    txn::{Direction, Txn},
    worker::Worker,
};

use super::Sites;
use crate::adapters::{
    Extension,
    hlua_proxy_core::{LuaTxn, side_of},
    hlua_scheduler::report,
};

/// A `filter lua.NAME` line.
#[derive(Clone, Debug)]
pub struct FilterLine {
    /// Where its class lives.
    pub vm: VmKind,
    /// The name, without `lua.`.
    pub name: String,
    /// The words behind it.
    pub args: Vec<String>,
}

/// A registered filter, before the configuration names it anywhere.
pub(super) struct LuaFilterKeyword {
    pub(super) vm: VmKind,
    pub(super) name: String,
    pub(super) sites: Arc<Sites>,
}

impl FilterKeyword for LuaFilterKeyword {
    fn parse(&self, args: &[&str], _cx: &mut ParseContext<'_>) -> Result<Arc<dyn FilterMaker>, ParseError> {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let line = self.sites.add_filter(FilterLine { vm: self.vm, name: self.name.clone(), args });
        Ok(Arc::new(LuaFilterMaker { line, vm: self.vm }))
    }
}

struct LuaFilterMaker {
    line: usize,
    vm: VmKind,
}

impl FilterMaker for LuaFilterMaker {
    fn attach(&self, _worker: &Worker) -> Box<dyn Filter> {
        Box::new(LuaFilter {
            line: self.line,
            vm: self.vm,
            state: State::New,
            http: false,
            data: [false; 2],
            wake: None,
        })
    }
}

/// The filter on one stream.
struct LuaFilter {
    line: usize,
    vm: VmKind,
    state: State,
    http: bool,
    /// Whether payload of requests and responses goes through it.
    data: [bool; 2],
    /// When the script wants to be called again.
    wake: Option<LocalFuture<()>>,
}

enum State {
    /// The stream's analysis has not begun.
    New,
    Open(FilterInstance),
    /// The script wants nothing of this stream.
    Off,
}

impl Filter for LuaFilter {
    fn wants(&self, point: Point) -> bool {
        match &self.state {
            State::New => point == Point::Start(Direction::Request),
            State::Open(instance) => callback_at(point).is_some_and(|(callback, direction)| {
                instance.has(callback) && (callback != Callback::HttpEnd || self.data[direction as usize])
            }),
            State::Off => false,
        }
    }

    fn poll(&mut self, point: Point, txn: Txn, cx: &mut Context<'_>) -> (Txn, Poll<Outcome>) {
        if matches!(self.state, State::New)
            && let Err(error) = self.open(&txn)
        {
            report(&txn.worker, Some(&txn), &error);
            return (txn, Poll::Ready(Outcome::Failed));
        }
        let Some((callback, direction)) = callback_at(point).filter(|_| self.wants(point)) else {
            return (txn, Poll::Ready(Outcome::Passed));
        };
        let (txn, answer) = self.call(callback, direction, txn, cx);
        let outcome = match answer {
            Answer::Failed => Outcome::Failed,
            Answer::Nothing | Answer::Number(1..) => Outcome::Passed,
            Answer::Number(0) => return (txn, Poll::Pending),
            Answer::Number(_) => Outcome::Failed,
        };
        (txn, Poll::Ready(outcome))
    }

    fn filters_payload(&self, direction: Direction) -> bool {
        self.data[direction as usize]
    }

    fn payload(&mut self, direction: Direction, txn: Txn, cx: &mut Context<'_>) -> (Txn, Passage) {
        let callback = if self.http { Callback::HttpPayload } else { Callback::TcpPayload };
        let (txn, answer) = self.call(callback, direction, txn, cx);
        let all = txn.channel(direction).data().len();
        let passage = match answer {
            Answer::Failed => Passage::Failed,
            Answer::Nothing => Passage::Pass(all),
            // Numbers that are no amount mean all of it.
            Answer::Number(n) => {
                Passage::Pass(usize::try_from(n).map_or(all, |n| if n > all { all } else { n }))
            }
        };
        (txn, passage)
    }
}

/// What a callback answered.
enum Answer {
    Nothing,
    Number(i64),
    /// It failed, and that was said.
    Failed,
}

impl LuaFilter {
    /// Makes the script's instance, if it wants one for such a stream.
    fn open(&mut self, txn: &Txn) -> Result<(), Error> {
        self.http = !txn.req.is_empty();
        self.state = State::Off;
        let extension = Extension::of(&txn.worker);
        let Some(runtime) = extension.lua(self.vm) else { return Ok(()) };
        if self.http && !runtime.filter_knows_http(self.line) {
            return Ok(());
        }
        if let Some(instance) = runtime.open_filter(self.line)? {
            self.state = State::Open(instance);
        }
        Ok(())
    }

    fn call(
        &mut self,
        callback: Callback,
        direction: Direction,
        txn: Txn,
        cx: &mut Context<'_>,
    ) -> (Txn, Answer) {
        let State::Open(instance) = &self.state else { return (txn, Answer::Nothing) };
        if !instance.has(callback) {
            return (txn, Answer::Nothing);
        }
        let worker = txn.worker.clone();
        let lent = LuaTxn::lend(txn, direction);
        let (lent, result) = instance.call(callback, side_of(direction), lent, worker.host.now());
        let txn = LuaTxn::back(lent);
        let answer = match result {
            Ok(answer) if answer.done => Answer::Failed,
            Ok(answer) => {
                self.note(&answer, &worker, cx);
                answer.code.map_or(Answer::Nothing, Answer::Number)
            }
            Err(error) => {
                report(&worker, Some(&txn), &error);
                // As in HAProxy, a callback that tried to wait counts as one that returned nothing.
                if matches!(error, Error::Yield { .. }) { Answer::Nothing } else { Answer::Failed }
            }
        };
        (txn, answer)
    }

    /// Takes over what the callback said beside its answer.
    fn note(&mut self, answer: &FilterAnswer, worker: &Worker, cx: &mut Context<'_>) {
        for (data, said) in self.data.iter_mut().zip(answer.data) {
            *data = said.unwrap_or(*data);
        }
        if let Some(after) = answer.wake_after {
            self.wake = Extension::of(worker).sleep_until(worker.host.now() + after);
        }
        if let Some(wake) = &mut self.wake
            && wake.as_mut().poll(cx).is_ready()
        {
            self.wake = None;
            if answer.wake_after.is_some() {
                cx.waker().wake_by_ref();
            }
        }
    }
}

/// The callback for a point, and the direction it is about.
fn callback_at(point: Point) -> Option<(Callback, Direction)> {
    Some(match point {
        Point::Start(direction) => (Callback::StartAnalyze, direction),
        Point::Head(direction) => (Callback::HttpHeaders, direction),
        Point::End(direction) => (Callback::HttpEnd, direction),
        Point::Over(direction) => (Callback::EndAnalyze, direction),
        _ => return None,
    })
}
