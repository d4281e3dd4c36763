//! HAProxy's Lua API on mlua: contexts, yields, TXN, applets, sockets, events; the host supplies everything else.

pub mod context;
pub mod error;
pub mod execution;
pub mod host;
pub mod limits;
pub mod registry;
pub mod runtime;

pub use context::ContextKind;
pub use error::Error;
pub use execution::{Execution, Outcome};
pub use host::{Lent, Value};
pub use limits::{BoolSamples, Config, Interrupter, Preemption};
pub use registry::{ActionContext, FunctionInfo, FunctionKind, Registry, ServiceMode};
pub use runtime::{CallSite, Runtime, SharedVm, VmKind};
