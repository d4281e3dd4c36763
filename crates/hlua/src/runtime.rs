//! Lua VMs and the door to them: load scripts, look at what they registered, run what they registered.
//!
//! Two kinds of VM, and a worker may have both: the per-thread VM (`lua-load-per-thread`), which never leaves its
//! thread and has no lock, and the shared VM (`lua-load`), one for all threads behind one mutex.

use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::execution::{Execution, Outcome};
use crate::host::{Core, Lent, Txn, Value};
use crate::limits::{Config, Interrupter};
use crate::{Error, FunctionKind, Registry};

/// Which VM a function lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VmKind {
    /// `lua-load-per-thread`
    PerThread,
    /// `lua-load`
    Shared,
}

/// The VM of `lua-load`, for all worker threads: `Send`, `Sync`, cheap to clone. Each worker makes its
/// [`Runtime`] from it.
#[derive(Clone)]
pub struct SharedVm;

/// A worker's view of one VM: `!Send`, cheap to clone.
#[derive(Clone)]
pub struct Runtime;

/// A registered function with the arguments of one configuration rule: what [`Runtime::start`],
/// [`Runtime::fetch`] and [`Runtime::convert`] run. Valid for the VM that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSite(pub(crate) u32);

impl SharedVm {
    /// Makes the VM; nothing is loaded yet.
    ///
    /// # Errors
    /// [`Error::Load`] if a setting is unusable.
    pub fn new(config: &Config) -> Result<SharedVm, Error> {
        let _ = config;
        Ok(SharedVm)
    }
}

impl Runtime {
    /// Makes a per-thread VM. `thread` is what `core.thread` gives, from 1.
    ///
    /// # Errors
    /// [`Error::Load`] if a setting is unusable.
    pub fn per_thread(config: &Config, core: Rc<dyn Core>, thread: u32) -> Result<Runtime, Error> {
        let _ = (config, core, thread);
        Ok(Runtime)
    }

    /// This worker's view of the shared VM; `core.thread` is 0 in it.
    pub fn shared(vm: &SharedVm, core: Rc<dyn Core>) -> Runtime {
        let _ = (vm, core);
        Runtime
    }

    /// Which VM this is.
    pub fn kind(&self) -> VmKind {
        VmKind::PerThread
    }

    /// Reads and runs a script's main chunk, with `args` as its `...`. Body context.
    ///
    /// # Errors
    /// The script's, with HAProxy's text.
    pub fn load_file(&self, path: &Path, args: &[String]) -> Result<(), Error> {
        let _ = (path, args);
        Ok(())
    }

    /// The same for a script in memory; `name` stands where the path would.
    ///
    /// # Errors
    /// As [`load_file`](Self::load_file).
    pub fn load_source(&self, name: &str, source: &[u8], args: &[String]) -> Result<(), Error> {
        let _ = (name, source, args);
        Ok(())
    }

    /// What the scripts registered so far.
    pub fn registry(&self) -> Registry {
        Registry::default()
    }

    /// Runs the functions of `core.register_init`, in order. Once, after the configuration is read.
    ///
    /// # Errors
    /// The first that fails; the process should not start.
    pub fn run_init(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Hands the tasks and event handlers that wait for the scheduler to [`Core::spawn`]. Once a worker; of the
    /// shared VM the first worker gets them.
    ///
    /// # Errors
    /// [`Error::Host`] if the host cannot spawn.
    pub fn start_tasks(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Binds a registered function to a rule's arguments.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn call_site(&self, kind: &FunctionKind, name: &str, args: &[&[u8]]) -> Result<CallSite, Error> {
        let _ = (kind, name, args);
        Ok(CallSite(0))
    }

    /// Begins a run of an action or service; nothing runs before the first poll.
    pub fn start(&self, site: CallSite) -> Execution {
        let _ = site;
        Execution { runtime: self.clone() }
    }

    /// Runs a sample fetch to its end. `None`: no sample. May not yield; on the shared VM it blocks for the lock.
    ///
    /// # Errors
    /// As [`Execution::poll`]; the caller logs it and takes it as no sample.
    pub fn fetch(
        &self,
        site: CallSite,
        txn: Box<dyn Txn>,
        now: Instant,
    ) -> (Box<dyn Txn>, Result<Option<Value<'static>>, Error>) {
        let _ = (site, now);
        (txn, Ok(None))
    }

    /// Runs a converter to its end; as [`fetch`](Self::fetch), without a TXN.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn convert(
        &self,
        site: CallSite,
        input: Value<'_>,
        now: Instant,
    ) -> Result<Option<Value<'static>>, Error> {
        let _ = (site, input, now);
        Ok(None)
    }

    /// The handle with which a watchdog thread stops this worker's long runs ([`Preemption::OnDemand`](crate::Preemption)).
    pub fn interrupter(&self) -> Interrupter {
        Interrupter
    }

    pub(crate) fn poll_execution(
        &self,
        lent: Lent,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> (Lent, Poll<Result<Outcome, Error>>) {
        let _ = (now, cx);
        (lent, Poll::Pending)
    }
}
