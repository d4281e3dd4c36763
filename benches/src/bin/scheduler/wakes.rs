//! Waking and running what exists.

use anyhow::Result;
use benches::{Contest, Row, Span};
use scheduler::{TaskRef, Woken};

use crate::ours::{Kind, World, sleepers};
use crate::peers;

/// How many are woken together in the rows that do not say.
const TOGETHER: usize = 100;

pub(crate) fn rows(contest: &mut Contest) -> Result<()> {
    contest.row(
        Row::new("tasklet wake + run, local")
            .goal_ns(6.0)
            .ours(|| {
                let (world, tasks, _) = sleepers(TOGETHER, Kind::Tasklet);
                rounds(world, tasks, |task| task.wake(Woken::IO))
            })
            .peer("async-task", 0.5, || peers::async_task(TOGETHER))
            .peer("tokio LocalSet", 0.5, || peers::local_set(TOGETHER)),
    )?;
    contest.row(
        Row::new("tasklet wake + run, std Waker")
            .goal_ns(12.0)
            .ours(|| {
                let (world, _, wakers) = sleepers(TOGETHER, Kind::Tasklet);
                rounds(world, wakers, |waker| waker.wake_by_ref())
            })
            .peer("async-task", 0.5, || peers::async_task(TOGETHER))
            .peer("tokio LocalSet", 0.5, || peers::local_set(TOGETHER)),
    )?;
    for (count, goal) in [(1000, 15.0), (100_000, 20.0)] {
        let niced = move || {
            let (world, tasks, _) = sleepers(count, Kind::Task);
            tasks.iter().enumerate().for_each(|(n, task)| task.set_nice(n as i32 * 7 % 2049 - 1024));
            rounds(world, tasks, |task: &TaskRef| task.wake(Woken::MSG))
        };
        contest.row(
            Row::new(format!("task with priority, wake + run, {count}"))
                .goal_ns(goal)
                // Several rounds: the first one makes the ring of places.
                .counted_over(100_000)
                .ours(niced)
                .also_ours("ours, all of nice 0", move || {
                    let (world, tasks, _) = sleepers(count, Kind::Task);
                    rounds(world, tasks, |task| task.wake(Woken::MSG))
                }),
        )?;
    }
    Ok(())
}

/// Wakes all and runs all, again and again.
fn rounds<T>(mut world: World, all: Vec<T>, wake: impl Fn(&T)) -> impl FnMut(&mut Span) {
    move |span| {
        let rounds = span.operations.div_ceil(all.len() as u64);
        span.measure(|| {
            for _ in 0..rounds {
                all.iter().for_each(&wake);
                world.settle();
            }
        });
        span.did(rounds * all.len() as u64);
    }
}
