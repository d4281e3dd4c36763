//! Contests: one operation, ours and the public crates that do the same, in one process and one sitting.
//!
//! A program of `src/bin` declares rows; each has one contestant of ours and any number of peers:
//!
//! ```no_run
//! use std::hint::black_box;
//! use benches::{Contest, Row, Span};
//!
//! fn main() -> anyhow::Result<std::process::ExitCode> {
//!     let mut contest = Contest::from_args("sums");
//!     contest.row(
//!         Row::new("add two numbers")
//!             .goal_ns(1.0)
//!             .ours(|| |span: &mut Span| {
//!                 let operations = span.operations;
//!                 span.measure(|| for n in 0..operations { black_box(black_box(n) + 1); });
//!             })
//!             .peer("wrapping", 1.0, || |span: &mut Span| {
//!                 let operations = span.operations;
//!                 span.measure(|| for n in 0..operations { black_box(black_box(n).wrapping_add(1)); });
//!             }),
//!     )?;
//!     contest.finish()
//! }
//! ```
//!
//! Time is the CPU time of the measuring thread; rounds alternate between the contestants and a ratio is the median
//! of the rounds' own ratios. Instructions come from callgrind, which runs the same program again and counts only
//! inside [`Span::measure`]; a committed file in `counts/` keeps ours from creeping.

mod baseline;
mod contest;
mod instructions;
mod report;
mod span;

pub use self::contest::{Contest, Row, pin_away_from, pin_here};
pub use self::span::{Span, thread_cpu};
