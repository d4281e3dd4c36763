//! The one place that touches Lua's C API: stacks, entry points, coroutines, preemption.
//!
//! Why not mlua's closures: an API call through them costs 44 ns and signals errors as userdata, which scripts
//! cannot `match`; a C function costs 7 ns and raises the strings, with position, that HAProxy raises. mlua still
//! makes the VM, its allocator with the memory cap, and opens the libraries.
//!
//! Contract of every file here:
//! * A Lua error is a `longjmp`. It is raised only at the tail of an `extern` function whose Rust values are gone
//!   (`entry`), so that no destructor is skipped.
//! * Calls that may raise for lack of memory are made plainly while no memory cap is set (Lua then never raises
//!   for memory before the process is lost) and through `lua_pcall` when one is.
//! * `*mut lua_State` never leaves the thread that runs it, except inside the shared VM's lock.

pub(crate) mod coroutine;
pub(crate) mod entry;
pub(crate) mod machine;
mod modules;
pub(crate) mod preempt;
mod recorded;
pub(crate) mod stack;
pub(crate) mod trace;
