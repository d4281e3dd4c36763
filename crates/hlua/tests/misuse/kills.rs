//! Runs that end at a random point, by their client, by time or by memory: nothing of them stays behind.

use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use hlua::host::memory::{MemoryCore, MemoryTxn};
use hlua::{Config, Lent, MemoryPool, Preemption, Runtime, SharedVm};
use proptest::prelude::*;

use crate::bench::{ACTION, Bench, get, now};

/// Holds what can be left behind: sockets, buffers, coroutines in coroutines, pending closes, private data, tasks.
const BUSY: &str = r#"
  closed = 0
  core.register_action("busy", {"http-req"}, function(txn)
    local guard <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
    txn:set_priv({ big = string.rep("x", 1000) })
    local inner = coroutine.wrap(function()
      for i = 1, 3 do
        local socket = core.tcp()
        socket:connect("127.0.0.1:7000")
        socket:send("one")
        core.msleep(1)
        coroutine.yield(socket)
      end
    end)
    local held, concat = {}, core.concat()
    for i = 1, 3 do
      held[i] = inner()
      concat:add(string.rep("y", 500))
      core.yield()
      pcall(function() core.msleep(2) error("inside") end)
    end
    local sum = 0
    for i = 1, 2000 do sum = sum + i end
    txn:done()
  end)
  core.register_action("after", {"http-req"}, function(txn)
    collectgarbage() collectgarbage()
    core.Info(string.format("%.0f", collectgarbage("count")))
  end)
"#;

/// How a run ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// After so many polls nobody polls it any more.
    ClientGone(usize),
    /// Its run time is over, the clock moving so many milliseconds a reading.
    Time(u64),
    /// So many more kilobytes than the idle VM has.
    Memory(usize),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        (0usize..30).prop_map(End::ClientGone),
        (1u64..400).prop_map(End::Time),
        (1usize..60).prop_map(End::Memory),
    ]
}

fn config() -> Config {
    Config {
        preemption: Preemption::Count(100),
        session_timeout: Some(Duration::from_secs(1)),
        ..Config::default()
    }
}

/// A worker with a VM of its own.
fn per_thread() -> Bench {
    with_peer(Bench::new(&config(), BUSY))
}

/// The VM of `lua-load`, loaded.
fn shared() -> SharedVm {
    let vm = SharedVm::new(&config()).expect("a VM");
    worker_of(&vm).load(BUSY).expect("the script loads");
    vm
}

/// A worker that uses the shared VM.
fn worker_of(vm: &SharedVm) -> Bench {
    let core = MemoryCore::new(now());
    with_peer(Bench { runtime: Runtime::shared(vm, core.clone()), core })
}

fn with_peer(bench: Bench) -> Bench {
    bench.core.sockets.add(([127, 0, 0, 1], 7000).into(), &["a", "b"]);
    bench
}

fn kill(bench: &Bench, config: &Config, end: End) {
    let site = bench.runtime.call_site(&ACTION, "busy", &[]).unwrap();
    let mut run = bench.runtime.start(site);
    match end {
        End::ClientGone(polls) => {
            let mut lent = Lent::Txn(get());
            for _ in 0..polls {
                let mut cx = Context::from_waker(Waker::noop());
                let (back, poll) = run.poll(lent, bench.now(), &mut cx);
                lent = back;
                if poll.is_ready() {
                    return;
                }
                bench.core.advance(Duration::from_millis(1));
            }
        }
        End::Time(step) => {
            bench.core.tick_on_reading(Duration::from_millis(step));
            let _ = bench.core.try_block_on(&mut run, Lent::Txn(get()));
            bench.core.tick_on_reading(Duration::ZERO);
        }
        End::Memory(kilobytes) => {
            let limit = memory_kilobytes(bench) + kilobytes;
            let memory = Some(MemoryPool::new(limit * 1024));
            bench.runtime.apply(&Config { memory, ..config.clone() });
            let _ = bench.core.try_block_on(&mut run, Lent::Txn(get()));
            bench.runtime.apply(config);
        }
    }
}

/// What the VM holds after collecting everything; the run in which it says so gets through, so no lock is held.
fn memory_kilobytes(bench: &Bench) -> usize {
    bench.core.take_log();
    collect(bench);
    let line = bench.core.take_log().pop().expect("it says a number");
    line.trim_start_matches("info: ").parse().expect("a number")
}

/// Lets the VM collect what nobody holds, waiting for other threads to be done with it.
fn collect(bench: &Bench) {
    let site = bench.runtime.call_site(&ACTION, "after", &[]).expect("it is registered");
    let mut run = bench.runtime.start(site);
    let txn: Box<MemoryTxn> = get();
    let mut lent = Lent::Txn(txn);
    loop {
        let (back, poll) = run.poll(lent, bench.now(), &mut Context::from_waker(Waker::noop()));
        lent = back;
        if let Poll::Ready(result) = poll {
            assert!(result.is_ok(), "the VM is not usable: {result:?}");
            return;
        }
        thread::yield_now();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn killed_runs_leave_nothing_behind(ends in prop::collection::vec(end(), 60)) {
        leaves_nothing_behind(&per_thread(), &ends)?;
        leaves_nothing_behind(&worker_of(&shared()), &ends)?;
    }

    #[test]
    fn runs_killed_on_several_threads_leave_the_shared_vm_to_the_others(
        ends in prop::collection::vec(end(), 60)
    ) {
        let vm = shared();
        leaves_nothing_behind(&worker_of(&vm), &ends)?;
        let before = memory_kilobytes(&worker_of(&vm));
        // The cap is the VM's: a thread that sets it would end the others' runs, which is another test.
        let ends: Vec<End> = ends.into_iter().filter(|end| !matches!(end, End::Memory(_))).collect();
        let left = thread::scope(|scope| {
            let kill_all = || {
                let bench = worker_of(&vm);
                ends.iter().for_each(|end| kill(&bench, &config(), *end));
                collect(&bench);
                (bench.core.sockets.open(), defect(&bench))
            };
            let threads = [(); 3].map(|()| scope.spawn(kill_all));
            threads.map(|thread| thread.join().expect("no thread panics"))
        });
        prop_assert!(left.iter().all(|(sockets, defect)| *sockets == 0 && defect.is_none()), "{:?}", left);
        let after = memory_kilobytes(&worker_of(&vm));
        prop_assert!(after < before + 64, "{before} KB became {after} KB");
    }
}

fn leaves_nothing_behind(bench: &Bench, ends: &[End]) -> Result<(), TestCaseError> {
    let config = config();
    // What is made once, like the pool of coroutines, is made before.
    for end in &ends[..20] {
        kill(bench, &config, *end);
    }
    let before = memory_kilobytes(bench);
    for end in ends {
        kill(bench, &config, *end);
    }
    let after = memory_kilobytes(bench);
    prop_assert!(after < before + 64, "{before} KB became {after} KB");
    prop_assert_eq!(bench.core.sockets.open(), 0);
    prop_assert_eq!(defect(bench), None);
    Ok(())
}

/// What would be our fault.
fn defect(bench: &Bench) -> Option<String> {
    let failures = bench.core.take_failures();
    failures.into_iter().map(|failure| failure.message).find(|message| message.contains("internal error"))
}
