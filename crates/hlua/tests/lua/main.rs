//! Scripts against the host in memory, a file a theme.

mod bench;
mod calls;
