//! The VM of `lua-load`: one for all threads, run by one at a time; beside per-thread VMs; and the watchdog's signal.
#![allow(clippy::disallowed_methods, reason = "these tests are about real threads")]

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hlua::host::memory::{MemoryCore, MemoryTxn};
use hlua::host::{Core, Level};
use hlua::{Config, Error, FunctionKind, Lent, Preemption, Runtime, SharedVm, VmKind};

use crate::bench::{ACTION, Bench, get};

const COUNT: &str = r#"
    n = 0
    core.register_action("count", {"http-req"}, function(txn) local before = n for i = 1, 50 do end core.yield() n = n + 1 end)
    core.register_fetches("n", function() return n end)
    core.register_fetches("inc", function() n = n + 1 return n end)
"#;

fn shared() -> SharedVm {
    let vm = SharedVm::new(&Config::default()).unwrap();
    Runtime::shared(&vm, MemoryCore::new(Instant::now()))
        .load_source("t.lua", COUNT.as_bytes(), &[])
        .unwrap();
    vm
}

#[test]
fn all_threads_see_one_state() {
    const ROUNDS: i64 = 2000;
    let vm = shared();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let core = MemoryCore::new(Instant::now());
                let runtime = Runtime::shared(&vm, core.clone());
                let count = runtime.call_site(&ACTION, "count", &[]).unwrap();
                let inc = runtime.call_site(&FunctionKind::Fetch, "inc", &[]).unwrap();
                for _ in 0..ROUNDS {
                    spin_to_end(&runtime, &core, count);
                    runtime.fetch(inc, get(), core.now()).1.unwrap();
                }
            });
        }
    });
    let runtime = Runtime::shared(&vm, MemoryCore::new(Instant::now()));
    let site = runtime.call_site(&FunctionKind::Fetch, "n", &[]).unwrap();
    assert_eq!(runtime.fetch(site, get(), Instant::now()).1.unwrap(), Some((8 * ROUNDS).into()));
    assert_eq!(runtime.kind(), VmKind::Shared);
}

/// Polls as an executor would that is woken by other threads; it stops when a wake is lost.
fn spin_to_end(runtime: &Runtime, core: &Rc<MemoryCore>, site: hlua::CallSite) {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut execution = runtime.start(site);
    let mut lent = Lent::Txn(get());
    loop {
        let (back, poll) = execution.poll(lent, core.now(), &mut cx);
        if poll.is_ready() {
            return;
        }
        lent = back;
        thread::park();
    }
}

#[test]
fn both_kinds_of_vm_live_side_by_side() {
    let vm = shared();
    let core = MemoryCore::new(Instant::now());
    let (a, b) = (Runtime::shared(&vm, core.clone()), Bench::new(&Config::default(), COUNT));
    for _ in 0..3 {
        let site = a.call_site(&FunctionKind::Fetch, "inc", &[]).unwrap();
        a.fetch(site, get(), core.now()).1.unwrap();
    }
    assert_eq!(b.fetch("n", get(), &[]).unwrap(), Some(0.into()));
    assert_eq!(b.runtime.kind(), VmKind::PerThread);
}

#[test]
fn a_socket_belongs_to_the_thread_that_made_it() {
    let vm = SharedVm::new(&Config::default()).unwrap();
    let script = r#"core.register_action("make", {"http-req"}, function() s = core.tcp() end)
        core.register_action("use", {"http-req"}, function() s:close() end)
        core.register_action("drop", {"http-req"}, function() s = nil collectgarbage() end)"#;
    let core = MemoryCore::new(Instant::now());
    let here = Runtime::shared(&vm, core.clone());
    here.load_source("t.lua", script.as_bytes(), &[]).unwrap();
    let make = here.call_site(&ACTION, "make", &[]).unwrap();
    core.block_on(&mut here.start(make), Lent::Txn(get())).1.unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let core = MemoryCore::new(Instant::now());
            let there = Runtime::shared(&vm, core.clone());
            for (name, fails) in [("use", true), ("drop", false)] {
                let site = there.call_site(&ACTION, name, &[]).unwrap();
                let result = core.block_on(&mut there.start(site), Lent::Txn(get())).1;
                assert_eq!(result.is_err(), fails, "{name}: {result:?}");
            }
        });
    });
}

/// A core on the real clock, for the watchdog's tests.
struct RealCore;

impl Core for RealCore {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn log(&self, _level: Level, _message: &str) {}
}

#[test]
fn on_demand_the_watchdog_ends_endless_loops_without_a_hook() {
    hlua::install_preemption().unwrap();
    let config = Config {
        preemption: Preemption::OnDemand,
        session_timeout: Some(Duration::from_millis(30)),
        ..Config::default()
    };
    let runtime = Runtime::per_thread(&config, Rc::new(RealCore), 1).unwrap();
    let script = r#"
        core.register_fetches("loop", function() while true do end end)
        core.register_fetches("ploop", function() while true do pcall(function() while true do end end) end end)
        core.register_fetches("coloop", function() while true do coroutine.wrap(function() while true do end end)() end end)
        core.register_action("yields", {"http-req"}, function() while true do coroutine.wrap(function() for i = 1, 1000 do end end)() end end)
        core.register_fetches("ok", function() local n = 0 for i = 1, 1000 do n = n + i end return n end)"#;
    runtime.load_source("t.lua", script.as_bytes(), &[]).unwrap();
    let stop = AtomicBool::new(false);
    let interrupter = runtime.interrupter();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = 0;
            while !stop.load(Ordering::Relaxed) {
                let epoch = interrupter.epoch();
                if epoch == last {
                    interrupter.interrupt(epoch);
                }
                last = epoch;
                thread::sleep(Duration::from_millis(1));
            }
        });
        for name in ["loop", "ploop", "coloop"] {
            let site = runtime.call_site(&FunctionKind::Fetch, name, &[]).unwrap();
            let error = runtime.fetch(site, get(), Instant::now()).1.unwrap_err();
            assert!(matches!(error, Error::Timeout { .. }), "{name}: {error}");
        }
        let site = runtime.call_site(&ACTION, "yields", &[]).unwrap();
        let mut execution = runtime.start(site);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut lent = Lent::Txn(get());
        let mut yields = 0;
        loop {
            let (back, poll) = execution.poll(lent, Instant::now(), &mut cx);
            lent = back;
            match poll {
                std::task::Poll::Pending => yields += 1,
                std::task::Poll::Ready(result) => {
                    break assert!(matches!(result, Err(Error::Timeout { .. })));
                }
            }
        }
        assert!(yields > 1);
        let site = runtime.call_site(&FunctionKind::Fetch, "ok", &[]).unwrap();
        for _ in 0..20_000 {
            assert_eq!(runtime.fetch(site, get(), Instant::now()).1.unwrap(), Some(500_500.into()));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_fetch_may_run_inside_an_actions_call_of_the_same_vm() {
    // The host's `var` fetch reads what the action set; nesting proper is the embedder's: here an action runs
    // another action's VM between its own polls.
    let bench = Bench::new(
        &Config::default(),
        r#"core.register_action("outer", {"http-req"}, function(txn) txn:set_var("txn.x", "1") core.yield() txn:set_var("txn.y", txn.f:var("txn.x")) end)"#,
    );
    let (txn, result): (Box<MemoryTxn>, _) = bench.action("outer", get());
    result.unwrap();
    assert_eq!(txn.stream.variables[b"txn.y".as_slice()], "1".into());
}
