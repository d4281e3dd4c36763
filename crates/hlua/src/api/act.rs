//! The global `act`: what an action may answer.
//!
//! Source: lua-api "Act class".

use std::time::Duration;

use crate::api::{Library, Method};
use crate::context::ContextKind::Action;
use crate::context::Contexts;
use crate::raw::stack::{Flow, Ret, Stack};

pub(crate) const LIBRARY: Library = Library {
    name: "act",
    functions: &[Method::new("wake_time", "(milliseconds)", wake_time).only(Contexts::of(&[Action]))],
    constants: &[
        ("CONTINUE", 0),
        ("STOP", 1),
        ("YIELD", 2),
        ("ERROR", 3),
        ("DONE", 4),
        ("DENY", 5),
        ("ABORT", 6),
        ("INVALID", 7),
    ],
    lazy: None,
    attributes: &[],
};

/// When an action that returns `act.YIELD` is run again.
fn wake_time(stack: &mut Stack<'_>) -> Flow {
    stack.need(1, "wake_time")?;
    let ms = u64::try_from(stack.int(1)?).unwrap_or(0);
    stack.vm().run.wake_after.set(Some(Duration::from_millis(ms)));
    Ok(Ret::Count(0))
}
