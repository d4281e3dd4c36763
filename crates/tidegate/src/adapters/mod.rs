//! One file an edge, `<consumer>_<provider>`: what one crate's `host` asks for, made of another.
//!
//! They convert and delegate; a branch that decides something belongs in a library.

pub mod hlua_event_hdl;
pub mod hlua_proxy_core;
pub mod hlua_scheduler;
pub mod proxy_core_event_hdl;
pub mod proxy_core_hlua;
pub mod proxy_core_scheduler;
pub mod proxy_core_spoe;
pub mod spoe_scheduler;
pub mod values;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use hlua::{CallSite, Runtime, VmKind};
use proxy_core::{
    admin::{AdminContext, Command},
    worker::Worker,
};

use crate::facts::Facts;

use self::{
    hlua_proxy_core::{Catalog, Compiled, LuaApplet, LuaTxn},
    hlua_scheduler::LogRoutes,
    proxy_core_hlua::Sites,
    proxy_core_spoe::Engines,
};

/// What the extensions keep for each worker: its VMs, its engines, what they recycle.
pub struct Extension {
    /// The samples that scripts reach.
    pub catalog: Arc<Catalog>,
    /// Where a transaction keeps what scripts store with `set_priv`.
    pub private_slot: usize,
    /// The box that transactions are lent in, while none is lent.
    pub spare_txn: Cell<Option<Box<LuaTxn>>>,
    /// The same for services.
    pub spare_applet: Cell<Option<Box<LuaApplet>>>,
    /// Arguments of scripts' fetches.
    pub fetch_calls: Compiled,
    /// Arguments of scripts' converters.
    pub converter_calls: Compiled,
    /// SPOE engines.
    pub engines: Engines,
    /// What the process knows about itself.
    pub facts: Arc<Facts>,
    /// Where scripts' lines go.
    pub routes: LogRoutes,
    lua: [Option<Runtime>; 2],
    sites: Arc<Sites>,
    calls: RefCell<Vec<Option<(VmKind, CallSite)>>>,
}

impl Extension {
    /// The extension of a worker with these VMs.
    #[must_use]
    pub fn new(
        catalog: Arc<Catalog>,
        private_slot: usize,
        facts: Arc<Facts>,
        routes: LogRoutes,
        sites: Arc<Sites>,
        engines: Engines,
        lua: [Option<Runtime>; 2],
    ) -> Rc<Self> {
        Rc::new(Self {
            catalog,
            private_slot,
            spare_txn: Cell::default(),
            spare_applet: Cell::default(),
            fetch_calls: Compiled::default(),
            converter_calls: Compiled::default(),
            engines,
            facts,
            routes,
            lua,
            sites,
            calls: RefCell::default(),
        })
    }

    /// This worker's extension.
    ///
    /// # Panics
    /// The worker was not made by [`wiring`](crate::wiring).
    #[must_use]
    pub fn of(worker: &Worker) -> &Self {
        worker.extension().expect("every worker is made by the wiring")
    }

    /// This worker's VM of one kind.
    #[must_use]
    pub fn lua(&self, kind: VmKind) -> Option<&Runtime> {
        self.lua[usize::from(kind == VmKind::PerThread)].as_ref()
    }

    /// Both VMs, as far as there are any.
    pub fn runtimes(&self) -> impl Iterator<Item = &Runtime> {
        self.lua.iter().flatten()
    }

    /// The places of the configuration that name Lua functions, and the scripts' commands.
    #[must_use]
    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// A Lua function as one place of the configuration names it, bound to this worker's VM.
    #[must_use]
    pub fn lua_call(&self, site: usize) -> Option<(&Runtime, CallSite)> {
        let known = self.calls.borrow().get(site).copied().flatten();
        let (vm, call) = known.or_else(|| self.bind(site))?;
        Some((self.lua(vm)?, call))
    }

    /// Prepares every `filter lua.NAME` line in this worker's VMs.
    ///
    /// # Errors
    /// A script refuses its line.
    pub fn declare_filters(&self) -> Result<(), hlua::Error> {
        for (number, line) in self.sites.filters().iter().enumerate() {
            let Some(runtime) = self.lua(line.vm) else { continue };
            let args: Vec<&[u8]> = line.args.iter().map(String::as_bytes).collect();
            runtime.declare_filter(number, &line.name, &args)?;
        }
        Ok(())
    }

    /// A timer of this worker, where a VM has one.
    #[must_use]
    pub fn sleep_until(&self, at: std::time::Instant) -> Option<hlua::host::LocalFuture<()>> {
        self.runtimes().find_map(|runtime| runtime.core().sleep_until(at))
    }

    fn bind(&self, number: usize) -> Option<(VmKind, CallSite)> {
        let site = self.sites.find(number)?;
        let runtime = self.lua(site.vm)?;
        let args: Vec<&[u8]> = site.args.iter().map(String::as_bytes).collect();
        let call = runtime.call_site(&site.kind, &site.name, &args).ok()?;
        let mut calls = self.calls.borrow_mut();
        if calls.len() <= number {
            calls.resize(number + 1, None);
        }
        calls[number] = Some((site.vm, call));
        calls[number]
    }
}

/// The same level in hlua's words.
#[must_use]
pub fn level_to_lua(level: proxy_core::log::Level) -> hlua::host::Level {
    use hlua::host::Level as To;
    use proxy_core::log::Level as From;
    match level {
        From::Emerg => To::Emerg,
        From::Alert => To::Alert,
        From::Crit => To::Crit,
        From::Err => To::Err,
        From::Warning => To::Warning,
        From::Notice => To::Notice,
        From::Info => To::Info,
        From::Debug => To::Debug,
    }
}

/// The same level in the other crate's words.
#[must_use]
pub fn level_from_lua(level: hlua::host::Level) -> proxy_core::log::Level {
    use hlua::host::Level as From;
    use proxy_core::log::Level as To;
    match level {
        From::Emerg => To::Emerg,
        From::Alert => To::Alert,
        From::Crit => To::Crit,
        From::Err => To::Err,
        From::Warning => To::Warning,
        From::Notice => To::Notice,
        From::Info => To::Info,
        From::Debug => To::Debug,
    }
}

/// Calls `with` with what the runtime API's commands work on.
pub fn with_admin<R>(
    worker: &Worker,
    commands: &[Command<'_>],
    with: impl FnOnce(&AdminContext<'_>) -> R,
) -> R {
    let process = Extension::of(worker).facts.info(&worker.shared.config.global);
    with(&AdminContext {
        shared: &worker.shared,
        worker: Some(worker),
        now: worker.host.now(),
        wall: worker.host.wall(),
        process: &process,
        commands,
    })
}
