//! What the schedulers are doing: `show tasks`, `show profiling`, `show activity`, `set profiling`.
//!
//! Each worker is asked by a job on its own thread, so nobody is stopped; a worker that does not answer within a
//! second is left out.
//!
//! Source: management.txt §9.3; the layout is that of HAProxy 2.6.

use std::{
    cmp::Reverse,
    fmt::Write as _,
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use proxy_core::{admin::Command, config::AccessLevel, worker::Worker};

use crate::{
    pace::Profiling,
    worker::{Figures, Member, NameStats, Schedulers},
};

/// The commands of this file, for `help`.
pub const COMMANDS: &[Command<'static>] = &[
    Command {
        words: "show tasks",
        usage: "show tasks",
        help: "show the tasks that wait in the run queues",
        level: AccessLevel::User,
    },
    Command {
        words: "show activity",
        usage: "show activity [-1|0|thread_num]",
        help: "show per-thread activity counters",
        level: AccessLevel::User,
    },
    Command {
        words: "show profiling",
        usage: "show profiling [{all|status|tasks|memory}] [byaddr|bytime|byctx|aggr|<max_lines>]*",
        help: "show what tasks take and wait",
        level: AccessLevel::Operator,
    },
    Command {
        words: "set profiling",
        usage: "set profiling <what> {auto|on|off}",
        help: "measure tasks, no more, or while a thread is slow (tasks)",
        level: AccessLevel::Admin,
    },
];

/// How long to wait for a worker.
const PATIENCE: Duration = Duration::from_secs(1);

/// One command of this file, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `show tasks`.
    Tasks,
    /// `show activity`, of all threads or as the number says.
    Activity(i64),
    /// `show profiling`.
    Profiling {
        /// With the settings.
        status: bool,
        /// With the table of tasks, at most so many lines.
        tasks: Option<usize>,
        /// In which order.
        order: Order,
    },
}

/// How the table of tasks is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Most calls first.
    Calls,
    /// Most time first.
    Time,
    /// By name.
    Name,
}

/// What a command asks for: a request, or the answer it gets at once. `None` for commands of others.
#[must_use]
pub fn parse(words: &[&str], level: AccessLevel, schedulers: &Schedulers) -> Option<Result<Request, String>> {
    let command = COMMANDS.iter().find(|command| {
        let ours: Vec<&str> = command.words.split(' ').collect();
        words.starts_with(&ours)
    })?;
    if level < command.level {
        return Some(Err("Permission denied\n".to_owned()));
    }
    Some(match words {
        ["show", "tasks", ..] => Ok(Request::Tasks),
        ["show", "activity"] => Ok(Request::Activity(-1)),
        ["show", "activity", thread, ..] => {
            thread.parse().map(Request::Activity).map_err(|_| "Invalid thread number\n".to_owned())
        }
        ["show", "profiling", rest @ ..] => Ok(profiling(rest)),
        ["set", "profiling", rest @ ..] => Err(set_profiling(rest, schedulers)),
        _ => return None,
    })
}

fn profiling(words: &[&str]) -> Request {
    let (mut status, mut tasks, mut order, mut max) = (true, true, Order::Calls, usize::MAX);
    for word in words {
        match *word {
            "all" => (status, tasks) = (true, true),
            "status" => (status, tasks) = (true, false),
            "tasks" => (status, tasks) = (false, true),
            "memory" => (status, tasks) = (false, false),
            "bytime" => order = Order::Time,
            "byaddr" => order = Order::Name,
            // One line a name is all there is: callers are not told apart.
            "byctx" | "aggr" => {}
            number => max = number.parse().unwrap_or(max),
        }
    }
    Request::Profiling { status, tasks: tasks.then_some(max), order }
}

fn set_profiling(words: &[&str], schedulers: &Schedulers) -> String {
    let tasks = |profiling| {
        schedulers.profile(profiling);
        ""
    };
    let answer = match words {
        ["tasks", "on", ..] => tasks(Profiling::On),
        ["tasks", "off", ..] => tasks(Profiling::Off),
        ["tasks", "auto", ..] => tasks(Profiling::Auto),
        ["tasks", "no-lock" | "no-memory", ..] => "",
        ["tasks", "lock" | "memory", ..] => "Lock and memory times of tasks are not measured.\n",
        ["tasks", ..] => "Expects 'on', 'auto', or 'off'.\n",
        ["memory", ..] => "Memory profiling is not supported.\n",
        _ => "Expects either 'tasks' or 'memory'.\n",
    };
    answer.to_owned()
}

/// Answers a request, once all workers have given their figures.
pub async fn answer(worker: &Worker, schedulers: &Schedulers, request: Request) -> String {
    let figures = gather(worker, schedulers).await;
    match request {
        Request::Tasks => tasks(&figures),
        Request::Activity(thread) => activity(worker, &figures, &turns(schedulers, &figures), thread),
        Request::Profiling { status, tasks, order } => {
            let mut text = String::new();
            if status {
                let state = match schedulers.profiling() {
                    Profiling::On => "on",
                    Profiling::Auto => "auto",
                    Profiling::Off => "off",
                };
                let _ = writeln!(
                    text,
                    "Per-task CPU profiling              : {state:<14}# set profiling tasks {{on|auto|off}}"
                );
                text.push_str(
                    "Memory usage profiling              : off           # set profiling memory {on|off}\n",
                );
            }
            if let Some(max) = tasks {
                profile(&mut text, &figures, max, order);
            }
            text
        }
    }
}

/// What workers have answered so far.
#[derive(Default)]
struct Gathered {
    figures: Vec<Figures>,
    missing: usize,
    waker: Option<Waker>,
}

async fn gather(worker: &Worker, schedulers: &Schedulers) -> Vec<Figures> {
    let gathered = Arc::new(Mutex::new(Gathered::default()));
    for Member { thread, remote, .. } in schedulers.all() {
        lock(&gathered).missing += 1;
        let inner = gathered.clone();
        let asked = remote.spawn(Box::new(move |handle| {
            let mut gathered = lock(&inner);
            gathered.figures.push(Figures { thread, snapshot: handle.snapshot() });
            gathered.missing -= 1;
            let waker = gathered.waker.take();
            drop(gathered);
            if let Some(waker) = waker {
                waker.wake();
            }
        }));
        if asked.is_err() {
            lock(&gathered).missing -= 1;
        }
    }
    let mut timer = worker.host.timer();
    timer.set(Some(worker.host.now() + PATIENCE));
    poll_fn(|cx| {
        let mut gathered = lock(&gathered);
        if gathered.missing == 0 || timer.poll_expired(cx).is_ready() {
            return Poll::Ready(());
        }
        gathered.waker = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
    let mut figures = std::mem::take(&mut lock(&gathered).figures);
    figures.sort_by_key(|figures| figures.thread);
    figures
}

fn lock(gathered: &Mutex<Gathered>) -> std::sync::MutexGuard<'_, Gathered> {
    gathered.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The figures of all threads, by name.
fn by_name(figures: &[Figures]) -> Vec<NameStats> {
    let mut all: Vec<NameStats> = Vec::new();
    for stats in figures.iter().flat_map(|figures| &figures.snapshot.names) {
        match all.iter_mut().find(|known| known.name == stats.name) {
            Some(known) => known.add(stats),
            None => all.push(stats.clone()),
        }
    }
    all
}

fn tasks(figures: &[Figures]) -> String {
    let mut names = by_name(figures);
    names.retain(|stats| stats.queued > 0);
    names.sort_by_key(|stats| Reverse(stats.queued));
    let total: u64 = names.iter().map(|stats| stats.queued).sum();
    let mut text = format!("Running tasks: {total} ({} threads)\n", figures.len());
    text.push_str("  function                     places     %    lat_tot   lat_avg\n");
    for stats in names {
        let share = stats.queued as f64 * 100.0 / total as f64;
        let waited = &stats.profile.latency;
        let latency = if waited.count == 0 {
            format!("{:>11}{:>10}", "-", "-")
        } else {
            format!("{:>11}{:>10}", short(waited.mean() * stats.queued as u32), short(waited.mean()))
        };
        let _ = writeln!(text, "  {:<24}{:>11} {share:>5.1}{latency}", stats.name, stats.queued);
    }
    text
}

fn profile(text: &mut String, figures: &[Figures], max: usize, order: Order) {
    let mut names = by_name(figures);
    names.retain(|stats| stats.profile.cpu.count > 0);
    match order {
        Order::Calls => names.sort_by_key(|stats| Reverse(stats.profile.cpu.count)),
        Order::Time => names.sort_by_key(|stats| Reverse(stats.profile.cpu.total)),
        Order::Name => names.sort_by_key(|stats| stats.name),
    }
    text.push_str("Tasks activity:\n");
    text.push_str("  function                      calls   cpu_tot   cpu_avg   lat_tot   lat_avg\n");
    for stats in names.iter().take(max) {
        let (cpu, latency) = (&stats.profile.cpu, &stats.profile.latency);
        let _ = write!(text, "  {:<24}{:>11}", stats.name, cpu.count);
        for time in [cpu.total, cpu.mean(), latency.total, latency.mean()] {
            let _ = write!(text, "{:>10}", short(time));
        }
        text.push('\n');
    }
}

/// The average time of a turn of each worker that has answered, in microseconds.
fn turns(schedulers: &Schedulers, figures: &[Figures]) -> Vec<u64> {
    let all = schedulers.all();
    let of = |thread| all.iter().find(|member| member.thread == thread);
    let turn = |figures: &Figures| of(figures.thread).map_or(Duration::ZERO, |member| member.pace.average());
    figures.iter().map(|figures| turn(figures).as_micros() as u64).collect()
}

fn activity(worker: &Worker, figures: &[Figures], turns: &[u64], thread: i64) -> String {
    let wall = worker.host.wall();
    let mut text = format!("thread_id: {} (1..{})\n", worker.thread + 1, figures.len());
    let _ = writeln!(text, "date_now: {}.{:06}", wall.as_secs(), wall.subsec_micros());
    type Count = fn(&Figures) -> u64;
    let rows: [(&str, Count); 11] = [
        ("ctxsw", |f| f.snapshot.calls),
        ("tasksw", |f| f.snapshot.activity.by_nice),
        ("empty_rq", |f| f.snapshot.activity.empty),
        ("long_rq", |f| f.snapshot.activity.long),
        ("curr_rq", |f| f.snapshot.waiting.iter().sum::<usize>() as u64),
        ("loops", |f| f.snapshot.activity.loops),
        ("wake_tasks", |f| f.snapshot.activity.loops.saturating_sub(f.snapshot.activity.sleeps)),
        ("wake_remote", |f| f.snapshot.activity.remote),
        ("poll_exp", |f| f.snapshot.activity.expired),
        ("remote_jobs", |f| f.snapshot.activity.jobs),
        ("stream_calls", |f| f.snapshot.names.iter().find(|n| n.name == "session").map_or(0, |n| n.calls)),
    ];
    for (name, count) in rows {
        let counts: Vec<u64> = figures.iter().map(count).collect();
        line(&mut text, name, counts.iter().sum(), &counts, thread);
    }
    let average = turns.iter().sum::<u64>().checked_div(turns.len() as u64).unwrap_or(0);
    line(&mut text, "avg_loop_us", average, turns, thread);
    text
}

/// A metric: all threads' value and then each thread's, or the one that was asked for.
fn line(text: &mut String, name: &str, all: u64, each: &[u64], thread: i64) {
    let _ = match usize::try_from(thread) {
        Ok(0) => writeln!(text, "{name}: {all}"),
        Ok(thread) => writeln!(text, "{name}: {}", each.get(thread - 1).copied().unwrap_or(0)),
        Err(_) if each.len() == 1 => writeln!(text, "{name}: {all}"),
        Err(_) => {
            let columns: Vec<String> = each.iter().map(u64::to_string).collect();
            writeln!(text, "{name}: {all} [ {} ]", columns.join(" "))
        }
    };
}

/// A time in four digits and its unit: `42.73us`.
fn short(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    let units = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];
    let (unit, size) = units.into_iter().rev().find(|(_, size)| nanos >= *size).unwrap_or(("ns", 1.0));
    let value = nanos / size;
    let digits = if value < 10.0 {
        3
    } else if value < 100.0 {
        2
    } else {
        1
    };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_four_digits_and_a_unit() {
        let cases =
            [(0, "0.000ns"), (601, "601.0ns"), (1_185, "1.185us"), (42_730, "42.73us"), (256_400, "256.4us")];
        for (nanos, expected) in cases {
            assert_eq!(short(Duration::from_nanos(nanos)), expected);
        }
        assert_eq!(short(Duration::from_secs(5)), "5.000s");
    }

    #[test]
    fn commands_are_told_apart_and_guarded() {
        let schedulers = Schedulers::default();
        let parse = |text: &str, level| parse(&text.split(' ').collect::<Vec<_>>(), level, &schedulers);
        let (user, admin) = (AccessLevel::User, AccessLevel::Admin);
        assert_eq!(parse("show tasks", user), Some(Ok(Request::Tasks)));
        assert_eq!(parse("show activity 0", user), Some(Ok(Request::Activity(0))));
        assert_eq!(parse("show stat", user), None);
        let denied = Some(Err("Permission denied\n".to_owned()));
        assert_eq!(parse("show profiling", user), denied);
        assert_eq!(parse("set profiling tasks on", AccessLevel::Operator), denied);
        let status = Request::Profiling { status: true, tasks: None, order: Order::Calls };
        assert_eq!(parse("show profiling status", admin), Some(Ok(status)));
        let tasks = Request::Profiling { status: false, tasks: Some(3), order: Order::Time };
        assert_eq!(parse("show profiling tasks bytime 3", admin), Some(Ok(tasks)));
        let wrong = Some(Err("Expects 'on', 'auto', or 'off'.\n".to_owned()));
        assert_eq!(parse("set profiling tasks bad", admin), wrong);
    }
}
