//! A cooperative scheduler in HAProxy's manner, for one thread at a time.
//!
//! ```text
//!   other threads                       the owner's thread
//!   ┌──────────────────┐   append      ┌─────────────────────────────────────────────┐
//!   │ Waker TaskHandle ├──────────────▶│ shared queue ─┐                             │
//!   │ Remote           │   pender, if  │               ▼     run(now, budget)        │
//!   └──────────────────┘   asleep      │ Timer ─▶ wait queue ─▶ run queue ─▶ poll    │
//!                                      │ Waker ───────────────▶ U N B H              │
//!                                      └─────────────────────────────────────────────┘
//! ```
//!
//! 1. A *task* or *tasklet* is a future that ends in `()`. It lives in a slot; its waker is made once.
//! 2. A wake puts it in one of four classes, or, a task, in an order by nice. It runs at least once after
//!    every wake, wakes in between are one run, and it runs at most once a pass.
//! 3. [`Scheduler::run`] expires timers and runs one pass of a [`Budget`], in HAProxy's shares. It is given
//!    the time and never parks: the [`Outcome`] says when to call again, the *pender* when sooner.
//! 4. A panic ends its task, is counted and told to a hook, and disturbs nobody else.
//!
//! INVARIANT: a task is in at most one run queue, a timer in at most one slot of the wait queue, and only
//! the owner's thread touches either.
//!
#![doc = include_str!("../README.md")]

mod batch;
mod body;
mod budget;
mod core;
mod deadlines;
mod ending;
mod handle;
mod here;
mod list;
#[cfg(all(test, not(loom)))]
mod mark_tests;
mod panics;
mod pass;
mod process;
mod profile;
mod remote;
mod rounds;
mod run_queue;
mod scheduler;
mod site;
mod slot;
mod stats;
mod sync;
#[cfg(loom)]
mod sync_queues;
mod task;
mod thread;
mod timer;
mod unbound;
mod wait_queue;
mod waker;
mod wheel;
mod woken;

pub use self::budget::{Budget, Class, Outcome};
pub use self::handle::Handle;
pub use self::panics::TaskPanic;
pub use self::process::{Next, Process};
pub use self::remote::{Progress, Rejected, Remote, Running, Watch};
pub use self::scheduler::{Config, Scheduler};
pub use self::stats::{Activity, Histogram, NameStats, Profile, Snapshot};
pub use self::task::{TaskHandle, TaskId, TaskRef};
pub use self::timer::{Sleep, Timer, yield_now};
pub use self::unbound::SharedTask;
pub use self::woken::Woken;
