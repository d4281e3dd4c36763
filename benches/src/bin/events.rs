//! What publishing, subscribing and delivering events cost.
//!
//! Source: `docs/performance.md`, "Events"; the goals are the project's own.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::RwLock;
use std::time::Duration;

use anyhow::Result;
use benches::{Contest, Row, Span};
use event_hdl::{Family, SubscriptionList, Subtypes};

/// The family that the rows publish.
struct Tick;

impl Family for Tick {
    type Live<'a> = u64;
    type Snapshot = u64;
    const NAME: &'static str = "TICK";
    const SUBTYPES: &'static [(&'static str, Subtypes)] = &[("ONE", Subtypes::bit(1))];
    fn snapshot(live: &u64) -> u64 {
        *live
    }
}

fn main() -> Result<ExitCode> {
    let mut contest = Contest::from_args("events");
    contest.row(
        Row::new("publish, no match, empty list")
            .goal_ns(2.0)
            .ours(|| {
                let list = SubscriptionList::<Tick>::new();
                move |span: &mut Span| {
                    let operations = span.operations;
                    span.measure(|| {
                        for n in 0..operations {
                            black_box(list.publish(&n, Subtypes::bit(1), Duration::ZERO));
                        }
                    });
                }
            })
            .peer("RwLock<Vec>", 0.25, || {
                let list: RwLock<Vec<fn(u64)>> = RwLock::new(Vec::new());
                move |span: &mut Span| {
                    let operations = span.operations;
                    span.measure(|| {
                        for n in 0..operations {
                            for handler in list.read().expect("invariant: never poisoned").iter() {
                                handler(n);
                            }
                        }
                    });
                }
            }),
    )?;
    contest.finish()
}
