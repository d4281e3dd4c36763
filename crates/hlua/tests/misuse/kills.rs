//! Runs that end at a random point, by their client, by time or by memory: nothing of them stays behind.

use std::task::{Context, Waker};
use std::time::Duration;

use hlua::host::memory::MemoryTxn;
use hlua::{Config, Lent, MemoryPool, Preemption};
use proptest::prelude::*;

use crate::bench::{ACTION, Bench, get};

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

fn bench() -> Bench {
    let config = Config {
        preemption: Preemption::Count(100),
        session_timeout: Some(Duration::from_secs(1)),
        ..Config::default()
    };
    let bench = Bench::new(&config, BUSY);
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
    let txn: Box<MemoryTxn> = get();
    let result = bench.action("after", txn).1;
    assert!(result.is_ok(), "the VM is not usable: {result:?}");
    let line = bench.core.take_log().pop().expect("it says a number");
    line.trim_start_matches("info: ").parse().expect("a number")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn killed_runs_leave_nothing_behind(ends in prop::collection::vec(end(), 60)) {
        let bench = bench();
        let config = Config {
            preemption: Preemption::Count(100),
            session_timeout: Some(Duration::from_secs(1)),
            ..Config::default()
        };
        // What is made once, like the pool of coroutines, is made before.
        for end in &ends[..20] {
            kill(&bench, &config, *end);
        }
        let before = memory_kilobytes(&bench);
        for end in &ends {
            kill(&bench, &config, *end);
        }
        let after = memory_kilobytes(&bench);
        prop_assert!(after < before + 64, "{before} KB became {after} KB");
        prop_assert_eq!(bench.core.sockets.open(), 0);
        let failures = bench.core.take_failures();
        let defect = failures.iter().find(|failure| failure.message.contains("internal error"));
        prop_assert!(defect.is_none(), "{:?}", defect);
    }
}
