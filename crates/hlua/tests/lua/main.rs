//! Scripts against the host in memory, a file a theme.

mod api;
mod bench;
mod calls;
mod errors;
mod events;
mod json;
mod limits;
mod shared;
mod testing;
mod usage;
mod waiting;
