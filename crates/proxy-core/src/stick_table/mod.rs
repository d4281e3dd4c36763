//! Stick tables: counters by key, bounded in number and time.
//!
//! ```text
//!   StickTables ── by name ──► StickTable ── by key ──► Entry ── a Cell a stored value
//!        ▲                                                ▲
//!   fetches, converters, commands, scripts            Tracked, held by an exchange or a session
//! ```
//!
//! Time comes as an argument. Expiry is lazy: an entry is put in the order of expiry once and moved
//! on only when its turn comes, so that a request costs a store. A full table gives up its oldest
//! entries that nobody tracks.
//!
//! INVARIANT: an entry that is tracked is in its table.
//!
//! Source: configuration.txt 11.1, `track-sc`, 7.3.1 (table_*), 7.3.3 (sc_*, src_*).

mod data;
mod key;
mod table;
mod tables;
mod track;

pub use data::{Cell, Column, DataType};
pub use key::{Key, KeyType};
pub use table::{Entry, StickTable, StickTableConfig};
pub(crate) use tables::Wanted;
pub use tables::{StickTables, TableArg};
pub use track::{TRACKED_MAX, Tracked, Tracking};

#[cfg(test)]
mod tests;
