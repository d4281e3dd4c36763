//! Spawning, running and freeing.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;

use anyhow::Result;
use benches::{Contest, Row, Span};

use crate::ours::World;
use crate::peers;

/// How many live at once.
const TOGETHER: u64 = 100;

/// What each does: a future of 16 bytes that ends at once.
async fn short(n: u64, m: u64) {
    black_box(n + m);
}

#[expect(clippy::disallowed_methods, reason = "how a peer starts a task")]
pub(crate) fn rows(contest: &mut Contest) -> Result<()> {
    contest.row(
        Row::new("spawn + run + free")
            .goal_ns(20.0)
            .ours(|| {
                let mut world = World::new();
                rounds(move |n| {
                    for m in 0..TOGETHER {
                        world.scheduler.spawn_tasklet("short", short(n, m));
                    }
                    world.settle();
                })
            })
            .also_ours("ours, a task", || {
                let mut world = World::new();
                rounds(move |n| {
                    for m in 0..TOGETHER {
                        world.scheduler.spawn("short", short(n, m));
                    }
                    world.settle();
                })
            })
            .peer("tokio current_thread", 0.5, || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                let local = tokio::task::LocalSet::new();
                let runs = Rc::new(Cell::new(0));
                move |span: &mut Span| {
                    let times = span.operations.div_ceil(TOGETHER);
                    let work = async {
                        for n in 0..times {
                            let goal = runs.get() + TOGETHER as usize;
                            for m in 0..TOGETHER {
                                let runs = Rc::clone(&runs);
                                tokio::task::spawn_local(async move {
                                    short(n, m).await;
                                    runs.set(runs.get() + 1);
                                });
                            }
                            peers::all_ran(Rc::clone(&runs), goal).await;
                        }
                    };
                    span.measure(|| runtime.block_on(local.run_until(work)));
                    span.did(times * TOGETHER);
                }
            })
            .peer("async-executor", 0.5, || {
                let executor = async_executor::LocalExecutor::new();
                rounds(move |n| {
                    for m in 0..TOGETHER {
                        executor.spawn(short(n, m)).detach();
                    }
                    while executor.try_tick() {}
                })
            })
            .peer("async-task", 0.5, || {
                rounds(|n| {
                    for m in 0..TOGETHER {
                        let (runnable, task) = async_task::spawn_local(short(n, m), peers::schedule);
                        runnable.schedule();
                        task.detach();
                    }
                    peers::run_queue();
                })
            })
            .peer("monoio", 0.5, || {
                let mut runtime =
                    monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().build().expect("a runtime");
                move |span: &mut Span| {
                    let times = span.operations.div_ceil(TOGETHER);
                    // A root future that wakes itself is polled before any task: it waits for the last one,
                    // and tasks run in the order in which they were spawned.
                    let work = async {
                        for n in 0..times {
                            let mut last = None;
                            for m in 0..TOGETHER {
                                last = Some(monoio::spawn(short(n, m)));
                            }
                            if let Some(last) = last {
                                last.await;
                            }
                        }
                    };
                    span.measure(|| runtime.block_on(work));
                    span.did(times * TOGETHER);
                }
            }),
    )
}

/// Calls `round`, which does [`TOGETHER`] operations, as often as asked for.
fn rounds(mut round: impl FnMut(u64)) -> impl FnMut(&mut Span) {
    move |span| {
        let rounds = span.operations.div_ceil(TOGETHER);
        span.measure(|| (0..rounds).for_each(&mut round));
        span.did(rounds * TOGETHER);
    }
}
