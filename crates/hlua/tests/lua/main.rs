//! Scripts against the host in memory, a file a theme.

mod api;
mod bench;
mod calls;
mod clients;
mod errors;
mod events;
mod filters;
mod json;
mod limits;
mod probe;
mod queues;
mod regexes;
mod shared;
mod tables;
mod testing;
mod usage;
mod waiting;
