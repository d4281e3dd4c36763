//! A typed event bus in HAProxy's manner.
//!
//! ```text
//!                    ┌────────────────────── SubscriptionList<F> ─────────────────────┐
//!   publish ────────▶│ 1. queues    snapshot, once ─▶ [ e e e ] ─▶ Stream, other task  │
//!   (live, subtype,  │ 2. handlers  borrow the live data, on this thread, in order     │
//!    when)           └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! 1. The embedder declares a [`Family`]: up to 16 subtypes, what sync handlers borrow (`Live`) and
//!    what queues own (`Snapshot`). This crate knows no event.
//! 2. A [`SubscriptionList`] takes sync handlers and [`EventQueue`]s. Publishing walks it without a
//!    lock; with nobody listening it is one load.
//! 3. A queue is bounded when publishing, says what it lost where it lost it, and ends with END.
//! 4. Everything may be done from inside a handler; the table in [`SubscriptionList`]'s module says when
//!    it takes effect.
//!
//! INVARIANT: publishing never waits for a queue's reader, and no lock of the list is held while a
//! handler runs.
//!
#![doc = include_str!("../README.md")]

mod asynchronous;
mod backlog;
mod error;
mod event;
mod families;
mod family;
#[cfg(not(loom))]
mod global;
mod handler;
mod handlers;
pub mod host;
mod hub;
mod id;
mod inner;
mod interest;
mod list;
mod log;
mod pins;
mod queue;
mod reading;
mod registry;
mod ring;
mod rings;
mod shared;
mod subscription;
mod sync;
mod table;

pub use self::asynchronous::Feed;
pub use self::error::Error;
pub use self::event::{Delivered, Event, Item, Occurrence, Publication, QueuedEvent};
pub use self::families::{EventType, Families};
pub use self::family::{Family, Names, Subtypes, resolve};
pub use self::id::{SubscriptionId, event_id};
pub use self::list::{Request, SubscriptionList};
pub use self::queue::{EventQueue, Overflow};
pub use self::shared::EventRef;
pub use self::subscription::Subscription;
