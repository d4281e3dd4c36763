//! What the scheduler's operations cost: nanoseconds each, the median of nine rounds.
//!
//! One scenario a function, each answering how many operations a round did. Run it pinned and on an
//! otherwise idle core; figures compare within one run only.

use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;
use std::time::{Duration, Instant};

use scheduler::{Budget, Scheduler, TaskRef, Timer, Woken};

const OPERATIONS: usize = 200_000;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

/// Runs one scenario: `prepare` is not measured, `round` is.
fn measure<T>(name: &str, mut prepare: impl FnMut() -> T, mut round: impl FnMut(&mut T) -> usize) {
    if !chosen(name) {
        return;
    }
    let mut figures: Vec<f64> = (0..9)
        .map(|_| {
            let mut state = prepare();
            let start = clock();
            let operations = round(&mut state);
            clock().duration_since(start).as_nanos() as f64 / operations as f64
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    println!("{name:<48} {:8.1} ns", figures[figures.len() / 2]);
}

/// Whether a scenario's name contains the first argument that is no option, if there is one.
fn chosen(name: &str) -> bool {
    std::env::args().skip(1).find(|arg| !arg.starts_with('-')).is_none_or(|part| name.contains(&part))
}

struct World {
    scheduler: Scheduler,
    start: Instant,
}

fn world() -> World {
    let start = clock();
    World { scheduler: Scheduler::new(start), start }
}

impl World {
    fn settle(&mut self, now: Instant) {
        while self.scheduler.run(now, Budget::new(1000)).more {}
    }
}

fn sleepers(count: usize, tasklets: bool) -> (World, Vec<TaskRef>) {
    let mut world = world();
    let forever = || poll_fn(|_| Poll::<()>::Pending);
    let spawn = |_| match tasklets {
        true => world.scheduler.spawn_tasklet("sleeper", forever()),
        false => world.scheduler.spawn("sleeper", forever()),
    };
    let tasks = (0..count).map(spawn).collect();
    let start = world.start;
    world.settle(start);
    (world, tasks)
}

fn wake_and_run(tasks: usize, tasklets: bool, nice: i32) {
    let kind = if tasklets { "tasklet" } else { "task" };
    let name = format!("{kind} wake + run, {tasks} woken a pass, nice {nice}");
    let prepare = || {
        let (world, handles) = sleepers(tasks, tasklets);
        handles
            .iter()
            .enumerate()
            .for_each(|(n, task)| task.set_nice(if nice == 0 { 0 } else { n as i32 % nice }));
        (world, handles)
    };
    measure(&name, prepare, |(world, handles)| {
        for _ in 0..OPERATIONS / tasks {
            handles.iter().for_each(|task| task.wake(Woken::MSG));
            world.settle(world.start);
        }
        OPERATIONS / tasks * tasks
    });
}

fn spawn_run_free(tasklets: bool) {
    let name = format!("{} spawn + run + free", if tasklets { "tasklet" } else { "task" });
    measure(&name, world, |world| {
        for n in 0..OPERATIONS / 100 {
            for m in 0..100 {
                let future = async move {
                    black_box(n + m);
                };
                match tasklets {
                    true => drop(world.scheduler.spawn_tasklet("short", future)),
                    false => drop(world.scheduler.spawn("short", future)),
                }
            }
            world.settle(world.start);
        }
        OPERATIONS
    });
}

fn yield_once_a_pass() {
    measure("tasklet yields, 100 of them", world, |world| {
        for _ in 0..100 {
            world.scheduler.spawn_tasklet("yield", async {
                for _ in 0..OPERATIONS / 100 {
                    scheduler::yield_now().await;
                }
            });
        }
        world.settle(world.start);
        OPERATIONS
    });
}

/// Deadlines spread over half a minute, in an order that is not sorted.
fn deadline(start: Instant, n: usize) -> Instant {
    start + Duration::from_nanos((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 30_000_000_000 + 1)
}

fn timers(count: usize) -> (World, Vec<Timer>) {
    let world = world();
    let timers = (0..count).map(|_| world.scheduler.timer()).collect();
    (world, timers)
}

fn armed(count: usize) -> (World, Vec<Timer>) {
    let (world, timers) = timers(count);
    timers.iter().enumerate().for_each(|(n, timer)| timer.set(Some(deadline(world.start, n))));
    (world, timers)
}

fn timer_scenarios(count: usize) {
    measure(
        &format!("timer arm, {count}"),
        || timers(count),
        |(world, timers)| {
            timers.iter().enumerate().for_each(|(n, timer)| timer.set(Some(deadline(world.start, n))));
            count
        },
    );
    measure(
        &format!("timer move later, {count}"),
        || armed(count),
        |(world, timers)| {
            let later = world.start + Duration::from_secs(60);
            timers.iter().for_each(|timer| timer.set(Some(later)));
            count
        },
    );
    measure(
        &format!("timer drop armed, {count}"),
        || armed(count),
        |(_, timers)| {
            timers.clear();
            count
        },
    );
    measure(
        &format!("timer expire + wake + run, {count}, in one go"),
        || sleeping(count),
        |world| {
            world.settle(world.start + Duration::from_secs(31));
            count
        },
    );
    measure(
        &format!("timer expire + wake + run, {count}, ms by ms"),
        || sleeping(count),
        |world| {
            (1..=30_001).for_each(|ms| world.settle(world.start + Duration::from_millis(ms)));
            count
        },
    );
}

fn sleeping(count: usize) -> World {
    let mut world = world();
    for n in 0..count {
        let sleep = world.scheduler.sleep_until(deadline(world.start, n));
        world.scheduler.spawn_tasklet("sleep", sleep);
    }
    let start = world.start;
    world.settle(start);
    world
}

fn idle_pass() {
    measure(
        "pass with nothing to do, one timer armed",
        || armed(1),
        |(world, _)| {
            for _ in 0..OPERATIONS {
                black_box(world.scheduler.run(world.start, Budget::default()));
            }
            OPERATIONS
        },
    );
}

fn main() {
    wake_and_run(100, true, 0);
    wake_and_run(100, false, 0);
    wake_and_run(1000, false, 0);
    wake_and_run(1000, false, 100);
    wake_and_run(100_000, false, 0);
    wake_and_run(100_000, false, 100);
    yield_once_a_pass();
    spawn_run_free(true);
    spawn_run_free(false);
    idle_pass();
    for count in [1000, 100_000, 1_000_000] {
        timer_scenarios(count);
    }
}
