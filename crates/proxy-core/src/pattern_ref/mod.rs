//! Pattern references: the lists behind ACLs and maps, shared by name, changeable while running.
//!
//! ```text
//!   PatternRefs ── by name or id ──► PatternRef ── live, pending versions ──► Generation
//!       ▲                                ▲                                   elements by id and key
//!   -f FILE, map(FILE), inline ── PatternList (one use: match method) ──►    one Index a match method
//! ```
//!
//! A list that no one has changed since the start is read without a lock; after its first change
//! readers share a lock for the length of one lookup. Every change is atomic, a commit of a million
//! entries too: what it replaces is dropped after the lock was released.
//!
//! INVARIANT: every index of a generation holds exactly its elements; a key that one of them refuses
//! is in none.
//!
//! Source: configuration.txt 2.7, 7.1; management.txt 9.3 (map and acl commands).

mod file;
mod generation;
mod index;
mod list;
mod nets;
mod prefix;
mod reference;
mod table;

pub(crate) use file::split as split_line;
pub use generation::Element;
pub use list::{Found, Output, PatternList};
pub(crate) use list::{addr, int};
pub use reference::{EditError, Entry, PatternEvent, PatternRef, Version};
pub use table::{Kind, PatternRefs};

#[cfg(test)]
mod tests;
