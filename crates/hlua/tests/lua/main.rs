//! Scripts against the host in memory, a file a theme.

mod api;
mod bench;
mod calls;
mod errors;
mod events;
mod filters;
mod limits;
mod misuse;
mod queues;
mod regexes;
mod shared;
mod waiting;
