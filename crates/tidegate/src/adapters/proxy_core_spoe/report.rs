//! What the engines of all workers do, for the runtime API.
//!
//! Engines belong to their worker and count without locks. So nothing is shared between workers until somebody
//! asks: then each worker's reporter leaves a copy at its desk.

use std::{
    fmt::Write as _,
    future::poll_fn,
    rc::Weak,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use proxy_core::worker::Worker;
use spoe::EngineStats;

use super::{EnginePlan, EngineSpec};
use crate::adapters::Extension;

/// Where workers leave what they are asked for.
#[derive(Default)]
pub(super) struct Board(Mutex<Desks>);

#[derive(Default)]
struct Desks {
    /// How often it was asked.
    asked: u64,
    desks: Vec<Desk>,
    /// Those who wait for answers.
    waiting: Vec<Waker>,
}

/// One worker's place.
struct Desk {
    thread: usize,
    /// The number of the question that `stats` answers.
    answered: u64,
    /// By the engine's number; `None` if that worker has not needed it yet.
    stats: Vec<Option<EngineStats>>,
    waker: Option<Waker>,
}

/// Removes a desk when its worker goes.
struct Seat {
    plan: Arc<EnginePlan>,
    thread: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.plan.board.0.lock().desks.retain(|desk| desk.thread != self.thread);
    }
}

/// Answers for the engines of one worker for as long as that lives.
pub async fn report(plan: Arc<EnginePlan>, worker: Weak<Worker>) {
    let Some(thread) = worker.upgrade().map(|worker| worker.thread) else { return };
    let desk = Desk { thread, answered: 0, stats: Vec::new(), waker: None };
    plan.board.0.lock().desks.push(desk);
    let seat = Seat { plan, thread };
    poll_fn(|cx| {
        let Some(worker) = worker.upgrade() else { return Poll::Ready(()) };
        let mut board = seat.plan.board.0.lock();
        let Desks { asked, desks, waiting } = &mut *board;
        let desk = desks.iter_mut().find(|desk| desk.thread == thread);
        let desk = desk.expect("invariant: the seat keeps its desk");
        if desk.answered < *asked {
            desk.answered = *asked;
            desk.stats = Extension::of(&worker).engines.by_number();
            waiting.drain(..).for_each(Waker::wake);
        }
        desk.waker = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// What `show spoe [<proxy>[/<engine>]]` answers.
pub async fn show(plan: &EnginePlan, worker: &Worker, only: Option<&str>) -> String {
    let silent = plan.board.ask(worker).await;
    let specs = plan.specs.read();
    let wanted = |spec: &&Arc<EngineSpec>| only.is_none_or(|only| spec.is_called(only));
    let mut out = String::new();
    let board = plan.board.0.lock();
    for spec in specs.iter().filter(wanted) {
        let all = board.desks.iter().filter_map(|desk| desk.stats.get(spec.number).copied().flatten());
        let (mut total, mut threads) = (EngineStats::default(), 0);
        all.for_each(|stats| {
            total.add(&stats);
            threads += 1;
        });
        write(&mut out, spec, threads, &total);
    }
    if out.is_empty() {
        out += if only.is_some() { "No such SPOE engine.\n" } else { "No SPOE engines.\n" };
    }
    if !silent.is_empty() {
        let names: Vec<String> = silent.iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "# without threads {}, which are busy", names.join(", "));
    }
    out
}

impl Board {
    /// Asks all workers and waits for a moment; the threads that did not answer.
    async fn ask(&self, worker: &Worker) -> Vec<usize> {
        let asked = {
            let mut board = self.0.lock();
            board.asked += 1;
            board.desks.iter_mut().filter_map(|desk| desk.waker.take()).for_each(Waker::wake);
            board.asked
        };
        let mut timer = worker.host.timer();
        timer.set(Some(worker.host.now() + PATIENCE));
        poll_fn(|cx| {
            let mut board = self.0.lock();
            let late = board.desks.iter().filter(|desk| desk.answered < asked);
            let late: Vec<usize> = late.map(|desk| desk.thread).collect();
            if late.is_empty() || timer.poll_expired(cx).is_ready() {
                return Poll::Ready(late);
            }
            board.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// Lines of `name: value`, the engine's name first.
fn write(out: &mut String, spec: &EngineSpec, threads: usize, stats: &EngineStats) {
    let micros = |time: Duration| time.as_micros();
    let latency = &stats.latency;
    let failures = stats.failures.iter().map(|(reason, count)| format!(" {}={count}", reason.code()));
    let failures: String = failures.collect();
    let _ = write!(
        out,
        "{}/{}: agent {}, backend {}, threads {threads}\n\
         \x20 connections: {} greeting {} idle {}\n\
         \x20 exchanges: queued {} waiting {} sent {} acked {} failed {} abandoned {} late_acks {}\n\
         \x20 failures:{}\n\
         \x20 connects: {} greetings_failed {} disconnects {}\n\
         \x20 frames: sent {} received {} bytes_sent {} bytes_received {}\n\
         \x20 latency_us: mean {} p50 {} p90 {} p99 {} max {}\n",
        spec.proxy,
        spec.engine,
        spec.agent.name.text,
        spec.agent.backend.text,
        stats.connections,
        stats.greeting,
        stats.idle,
        stats.queued,
        stats.waiting,
        stats.processed,
        stats.answered,
        stats.errors,
        stats.abandoned,
        stats.late_acks,
        if failures.is_empty() { " none" } else { &failures },
        stats.connects,
        stats.greetings_failed,
        stats.disconnects,
        stats.frames_sent,
        stats.frames_received,
        stats.bytes_sent,
        stats.bytes_received,
        micros(latency.mean()),
        micros(latency.quantile(0.5)),
        micros(latency.quantile(0.9)),
        micros(latency.quantile(0.99)),
        micros(latency.max),
    );
}

/// How long a busy worker is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
