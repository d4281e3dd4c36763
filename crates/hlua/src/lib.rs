#![doc = include_str!("../README.md")]

mod api;
pub mod context;
pub mod error;
mod event_runner;
pub mod execution;
mod failure;
pub mod filter;
pub mod host;
pub mod limits;
mod members;
mod op;
mod raw;
mod reaper;
pub mod record;
pub mod reference;
pub mod registry;
pub mod runtime;
mod shared;
pub mod testing;
pub mod usage;
mod value;
mod vm;

pub use api::describe;
pub use context::{ContextKind, Contexts};
pub use error::Error;
pub use execution::{Execution, Outcome};
pub use failure::Failure;
pub use filter::{Callback, FilterAnswer, FilterInstance};
pub use host::{Lent, Value};
pub use limits::{BoolSamples, Config, Interrupter, MemoryPool, Preemption, install_preemption};
pub use registry::{ActionContext, FunctionInfo, FunctionKind, Registry, ServiceMode};
pub use runtime::{CallSite, Runtime, VmKind};
pub use shared::SharedVm;
pub use usage::{FunctionUsage, VmUsage};
