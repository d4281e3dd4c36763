//! The `global` keywords of Lua: `lua-load`, `lua-load-per-thread`, `lua-prepend-path`, `tune.lua.*`.
//!
//! Scripts are loaded as their line is read, on the thread that becomes worker 0, so that what they
//! register can be named by the lines that follow.

use std::{cell::RefCell, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use hlua::{
    Runtime, SharedVm, VmKind,
    host::Core,
    limits::{BoolSamples, Config, MemoryPool, Preemption},
};
use proxy_core::{
    cfgparse::{ParseError, parse_duration},
    registry::{GlobalContext, GlobalKeyword, Registry},
};

use super::Sites;
use crate::adapters::hlua_scheduler::{LogRoutes, LogStderr, WorkerCore};

/// Every keyword of this file, with what handles it.
const KEYWORDS: &[(&str, Handler)] = &[
    ("lua-load", LuaSetup::load_shared),
    ("lua-load-per-thread", LuaSetup::load_per_thread),
    ("lua-prepend-path", LuaSetup::prepend_path),
    ("tune.lua.forced-yield", LuaSetup::forced_yield),
    ("tune.lua.maxmem", LuaSetup::maxmem),
    ("tune.lua.session-timeout", |setup, args, _| setup.timeout(args, |config| &mut config.session_timeout)),
    ("tune.lua.service-timeout", |setup, args, _| setup.timeout(args, |config| &mut config.service_timeout)),
    ("tune.lua.task-timeout", |setup, args, _| setup.timeout(args, |config| &mut config.task_timeout)),
    ("tune.lua.burst-timeout", |setup, args, _| setup.timeout(args, |config| &mut config.burst_timeout)),
    ("tune.lua.log.loggers", LuaSetup::log_loggers),
    ("tune.lua.log.stderr", LuaSetup::log_stderr),
    ("tune.lua.openlibs", LuaSetup::open_libs),
    ("tune.lua.bool-sample-conversion", LuaSetup::bool_samples),
];

type Handler = fn(&mut LuaSetup, &[&str], &mut GlobalContext<'_>) -> Result<(), ParseError>;

/// Adds the keywords to the tables.
pub fn register(registry: &mut Registry, setup: &Rc<RefCell<LuaSetup>>) {
    for (name, handler) in KEYWORDS {
        let keyword = Keyword { setup: setup.clone(), handler: *handler };
        registry.globals.insert((*name).to_owned(), Rc::new(keyword));
    }
}

struct Keyword {
    setup: Rc<RefCell<LuaSetup>>,
    handler: Handler,
}

impl GlobalKeyword for Keyword {
    fn parse(&self, args: &[&str], cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        (self.handler)(&mut self.setup.borrow_mut(), args, cx)
    }
}

/// A script of `lua-load-per-thread`, to be loaded by each further worker.
#[derive(Clone, Debug)]
pub struct Script {
    path: PathBuf,
    args: Vec<String>,
}

/// Lua while the configuration is read: settings, and the VMs of worker 0.
pub struct LuaSetup {
    core: Rc<WorkerCore>,
    config: Config,
    routes: LogRoutes,
    shared: Option<(SharedVm, Runtime)>,
    per_thread: Option<Runtime>,
    scripts: Vec<Script>,
    sites: Arc<Sites>,
    watched: bool,
    /// Every script named so far, and whether it is shared.
    files: RefCell<Vec<(PathBuf, bool)>>,
}

/// What is left of it once the configuration is read.
pub struct LoadedLua {
    /// For worker 0.
    pub runtimes: [Option<Runtime>; 2],
    /// For all workers.
    pub plan: LuaPlan,
}

/// How further workers get their VMs. Shared by all threads.
#[derive(Clone)]
pub struct LuaPlan {
    config: Config,
    /// Where lines go.
    pub routes: LogRoutes,
    shared: Option<SharedVm>,
    scripts: Vec<Script>,
    watched: bool,
}

impl LuaPlan {
    /// A watchdog looks at the runs.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.watched
    }

    /// The VMs of a further worker: shared, per thread.
    ///
    /// # Errors
    /// A script fails to load.
    pub fn runtimes(
        &self,
        core: &Rc<WorkerCore>,
        thread: usize,
    ) -> Result<[Option<Runtime>; 2], hlua::Error> {
        let shared = self.shared.as_ref().map(|vm| Runtime::shared(vm, core.clone() as Rc<dyn Core>));
        if self.scripts.is_empty() {
            return Ok([shared, None]);
        }
        let runtime = Runtime::per_thread(&self.config, core.clone() as Rc<dyn Core>, thread_number(thread))?;
        for script in &self.scripts {
            runtime.load_file(&script.path, &script.args)?;
        }
        Ok([shared, Some(runtime)])
    }
}

/// `core.thread` counts from 1.
fn thread_number(thread: usize) -> u32 {
    u32::try_from(thread + 1).unwrap_or(u32::MAX)
}

impl LuaSetup {
    /// Nothing loaded, default settings.
    #[must_use]
    pub fn new(core: Rc<WorkerCore>, sites: Arc<Sites>) -> Self {
        Self {
            core,
            config: Config::default(),
            routes: LogRoutes::default(),
            shared: None,
            per_thread: None,
            scripts: Vec::new(),
            sites,
            watched: false,
            files: RefCell::default(),
        }
    }

    /// Long runs are noticed by a watchdog where `tune.lua.forced-yield` does not say otherwise.
    pub fn watch(&mut self) {
        self.config.preemption = Preemption::OnDemand;
        self.watched = true;
    }

    /// Every script named so far, and whether it is shared.
    #[must_use]
    pub fn loaded_files(&self) -> Vec<(PathBuf, bool)> {
        self.files.borrow().clone()
    }

    /// What `lua-prepend-path` has put in front of `package.path`, in the order of search.
    #[must_use]
    pub fn module_paths(&self) -> Vec<String> {
        let paths = self.config.prepend_paths.iter().rev().filter(|(kind, _)| kind == "path");
        paths.flat_map(|(_, path)| path.split(';')).map(str::to_owned).collect()
    }

    /// The end of reading.
    #[must_use]
    pub fn finish(&self) -> LoadedLua {
        let (vm, shared) = self.shared.clone().unzip();
        LoadedLua {
            runtimes: [shared, self.per_thread.clone()],
            plan: LuaPlan {
                config: self.config.clone(),
                routes: self.routes,
                shared: vm,
                scripts: self.scripts.clone(),
                watched: self.watched,
            },
        }
    }

    fn load_shared(&mut self, args: &[&str], cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        let script = script(args)?;
        let runtime = match &self.shared {
            Some((_, runtime)) => runtime.clone(),
            None => {
                let vm = SharedVm::new(&self.config).map_err(load_error)?;
                let runtime = Runtime::shared(&vm, self.core.clone());
                self.shared = Some((vm, runtime.clone()));
                runtime
            }
        };
        self.load(&runtime, VmKind::Shared, &script, cx)
    }

    fn load_per_thread(&mut self, args: &[&str], cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        let script = script(args)?;
        let runtime = match &self.per_thread {
            Some(runtime) => runtime.clone(),
            None => {
                let made = Runtime::per_thread(&self.config, self.core.clone(), thread_number(0));
                self.per_thread.insert(made.map_err(load_error)?).clone()
            }
        };
        self.load(&runtime, VmKind::PerThread, &script, cx)?;
        self.scripts.push(script);
        Ok(())
    }

    fn load(
        &self,
        runtime: &Runtime,
        vm: VmKind,
        script: &Script,
        cx: &mut GlobalContext<'_>,
    ) -> Result<(), ParseError> {
        self.files.borrow_mut().push((script.path.clone(), vm == VmKind::Shared));
        self.core.set_routes(self.routes);
        self.core.set_env(cx.registry.env.clone());
        runtime.load_file(&script.path, &script.args).map_err(|error| {
            ParseError::new(format!("error in Lua file '{}': {error}", script.path.display()))
        })?;
        super::register(cx.registry, vm, &runtime.registry(), &self.sites);
        Ok(())
    }

    fn prepend_path(&mut self, args: &[&str], _cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        let (path, kind) = match args {
            [path] => (path, "path"),
            [path, kind @ ("path" | "cpath")] => (path, *kind),
            [_, kind, ..] => {
                return Err(ParseError::at(
                    2,
                    format!("lua-prepend-path: '{kind}' is neither path nor cpath"),
                ));
            }
            [] => return Err(ParseError::new("'lua-prepend-path' expects to receive a <path> as argument")),
        };
        for runtime in self.loaded() {
            runtime.prepend_path(kind, path).map_err(load_error)?;
        }
        self.config.prepend_paths.push((kind.to_owned(), (*path).to_owned()));
        Ok(())
    }

    fn forced_yield(&mut self, args: &[&str], _cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        let count = number("tune.lua.forced-yield", one(args)?)?;
        self.config.preemption = Preemption::Count(u32::try_from(count).unwrap_or(u32::MAX));
        self.changed();
        Ok(())
    }

    fn maxmem(&mut self, args: &[&str], _cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        let mib = number("tune.lua.maxmem", one(args)?)?;
        let bytes = usize::try_from(mib).ok().and_then(|mib| mib.checked_mul(1024 * 1024));
        let bytes = bytes.ok_or_else(|| ParseError::at(1, "memory limit too large"))?;
        self.config.memory = (bytes > 0).then(|| MemoryPool::new(bytes));
        self.changed();
        Ok(())
    }

    fn timeout(
        &mut self,
        args: &[&str],
        field: fn(&mut Config) -> &mut Option<Duration>,
    ) -> Result<(), ParseError> {
        let time = parse_duration(one(args)?, Duration::from_millis(1))?;
        *field(&mut self.config) = (!time.is_zero()).then_some(time);
        self.changed();
        Ok(())
    }

    fn log_loggers(&mut self, args: &[&str], _cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        self.routes.loggers = match one(args)? {
            "on" => true,
            "off" => false,
            other => return Err(ParseError::at(1, format!("expects 'on' or 'off' but got '{other}'"))),
        };
        self.core.set_routes(self.routes);
        Ok(())
    }

    fn log_stderr(&mut self, args: &[&str], _cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        self.routes.stderr = match one(args)? {
            "on" => LogStderr::On,
            "auto" => LogStderr::Auto,
            "off" => LogStderr::Off,
            other => {
                return Err(ParseError::at(1, format!("expects 'on', 'auto', or 'off' but got '{other}'")));
            }
        };
        self.core.set_routes(self.routes);
        Ok(())
    }

    fn open_libs(&mut self, args: &[&str], _cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        self.not_loaded("tune.lua.openlibs")?;
        let names = args.iter().flat_map(|arg| arg.split(',')).filter(|name| !name.is_empty());
        self.config.open_libs = match names.collect::<Vec<_>>()[..] {
            [] => return Err(ParseError::new("'tune.lua.openlibs' expects a list of libraries")),
            ["all"] => None,
            ["none"] => Some(Vec::new()),
            ref names => Some(names.iter().map(|&name| name.to_owned()).collect()),
        };
        Ok(())
    }

    fn bool_samples(&mut self, args: &[&str], _cx: &mut GlobalContext<'_>) -> Result<(), ParseError> {
        self.config.bool_samples = match one(args)? {
            "normal" => BoolSamples::Normal,
            "pre-3.1-bug" => BoolSamples::Pre31,
            other => {
                return Err(ParseError::at(
                    1,
                    format!("invalid value '{other}', expects 'normal' or 'pre-3.1-bug'"),
                ));
            }
        };
        self.changed();
        Ok(())
    }

    /// The VMs that scripts were loaded into.
    fn loaded(&self) -> impl Iterator<Item = &Runtime> {
        self.shared.iter().map(|(_, runtime)| runtime).chain(&self.per_thread)
    }

    /// Hands changed settings on: they hold for scripts that were loaded before as well.
    fn changed(&self) {
        self.loaded().for_each(|runtime| runtime.apply(&self.config));
    }

    /// Libraries are opened when a VM is made, and paths belong to one of them.
    fn not_loaded(&self, keyword: &str) -> Result<(), ParseError> {
        if self.loaded().next().is_none() && self.config.prepend_paths.is_empty() {
            return Ok(());
        }
        let others = "'lua-load', 'lua-load-per-thread' or 'lua-prepend-path'";
        Err(ParseError::at(0, format!("'{keyword}' must come before any {others}")))
    }
}

fn script(args: &[&str]) -> Result<Script, ParseError> {
    match args {
        [] => Err(ParseError::new("'lua-load' expects a file name as parameter")),
        [path, args @ ..] => {
            Ok(Script { path: PathBuf::from(path), args: args.iter().map(|&arg| arg.to_owned()).collect() })
        }
    }
}

fn one<'a>(args: &[&'a str]) -> Result<&'a str, ParseError> {
    match args {
        [arg] => Ok(arg),
        [] => Err(ParseError::new("missing argument")),
        [_, extra, ..] => Err(ParseError::at(2, format!("unexpected argument '{extra}'"))),
    }
}

fn number(keyword: &str, text: &str) -> Result<u64, ParseError> {
    text.parse().map_err(|_| ParseError::at(1, format!("{keyword}: invalid number '{text}'")))
}

fn load_error(error: hlua::Error) -> ParseError {
    ParseError::new(error.to_string())
}
