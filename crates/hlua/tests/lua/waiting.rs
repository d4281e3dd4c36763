//! What waits: sleeps, yields, coroutines of the script's own, and what a script may reach meanwhile.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hlua::host::memory::MemoryTxn;
use hlua::{Config, Lent};

use crate::bench::{ACTION, Bench, downcast, get};

fn bench(script: &str) -> Bench {
    Bench::new(&Config::default(), script)
}

#[test]
fn an_action_that_sleeps_lets_others_go_on() {
    let bench = bench(
        r#"core.register_action("slow", {"http-req"}, function(txn) core.sleep(5) txn:set_var("txn.r", "slow") end)
           core.register_action("fast", {"http-req"}, function(txn) txn:set_var("txn.r", "fast") end)"#,
    );
    let mut cx = Context::from_waker(Waker::noop());
    let site = bench.runtime.call_site(&ACTION, "slow", &[]).unwrap();
    let mut slow = bench.runtime.start(site);
    let (lent, poll) = slow.poll(Lent::Txn(get()), bench.now(), &mut cx);
    assert!(poll.is_pending());
    for _ in 0..3 {
        assert!(bench.action("fast", get()).1.is_ok());
    }
    assert_eq!(bench.core.elapsed(), Duration::ZERO);
    let (_, result) = bench.core.block_on(&mut slow, lent);
    result.unwrap();
    assert_eq!(bench.core.elapsed(), Duration::from_secs(5));
}

#[test]
fn sleeping_works_in_pcall_metamethods_iterators_and_own_coroutines() {
    let bench = bench("");
    let lines = bench.probe(
        r#"local t = setmetatable({}, {__index = function(_, k) core.msleep(1) return k .. "!" end})
           core.Info(t.key)
           core.Info(tostring(select(2, pcall(function() core.msleep(1) return "pcall" end))))
           for i in function(_, i) core.msleep(1) i = (i or 0) + 1 return i < 3 and i or nil end do core.Info("i" .. i) end
           local co = coroutine.create(function(a) core.msleep(1) local b = coroutine.yield(a + 1) core.msleep(1) return b * 2 end)
           core.Info(tostring(select(2, coroutine.resume(co, 1))) .. " " .. tostring(select(2, coroutine.resume(co, 21))) .. " " .. coroutine.status(co))
           local w = coroutine.wrap(function() core.msleep(1) coroutine.yield("w1") core.yield() return "w2" end)
           core.Info(w() .. " " .. w())
           local nested = coroutine.wrap(function() return coroutine.wrap(function() core.msleep(1) return "deep" end)() end)
           core.Info(nested())"#,
    );
    assert_eq!(
        lines,
        ["info: key!", "info: pcall", "info: i1", "info: i2", "info: 2 42 dead", "info: w1 w2", "info: deep"]
    );
    assert_eq!(bench.core.elapsed(), Duration::from_millis(9));
}

#[test]
fn who_is_alone_gives_way_without_leaving() {
    for (alone, polls) in [(0, 11), (4, 7), (10, 1), (100, 1)] {
        let bench = bench(
            r#"core.register_action("ten", {"http-req"}, function() for _ = 1, 10 do core.yield() end end)"#,
        );
        let mut cx = Context::from_waker(Waker::noop());
        let site = bench.runtime.call_site(&ACTION, "ten", &[]).unwrap();
        let mut run = bench.runtime.start(site);
        bench.core.leave_alone(alone);
        let (mut lent, mut polled) = (Lent::Txn(get()), 0);
        loop {
            polled += 1;
            let (back, poll) = run.poll(lent, bench.now(), &mut cx);
            lent = back;
            if poll.is_ready() {
                break;
            }
        }
        assert_eq!(polled, polls, "alone {alone} times");
    }
}

#[test]
fn waiting_across_a_c_function_is_an_error_that_says_so_even_to_who_is_alone() {
    let bench = bench("");
    bench.core.leave_alone(100);
    let yields = r#"core.Info(select(2, pcall(string.gsub, "abc", "b", function() core.yield() end)))"#;
    assert!(bench.probe(yields)[0].contains("'yield' cannot wait here: a C function is in between"));
}

#[test]
fn waiting_across_a_c_function_is_an_error_that_says_so() {
    let bench = bench("");
    let lines =
        bench.probe(r#"core.Info(select(2, pcall(string.gsub, "abc", "b", function() core.msleep(1) end)))"#);
    assert!(lines[0].contains("'msleep' cannot wait here: a C function is in between"), "{lines:?}");
}

#[test]
fn fetches_and_converters_may_not_wait() {
    let bench = bench(
        r#"core.register_fetches("f", function() core.sleep(1) return "x" end)
           core.register_fetches("pf", function() pcall(core.msleep, 1) return "x" end)
           core.register_converters("c", function(v) local s = core.tcp(); s:connect("127.0.0.1", 80) return v end)
           core.register_converters("y", function(v) core.yield() return v .. "y" end)
           core.register_fetches("s", function() coroutine.yield() return "x" end)"#,
    );
    let errors = [
        bench.fetch("f", get(), &[]).unwrap_err().to_string(),
        bench.fetch("pf", get(), &[]).unwrap_err().to_string(),
        bench.convert("c", "v").unwrap_err().to_string(),
        bench.fetch("s", get(), &[]).unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(errors.join("\n"));
    assert_eq!(bench.convert("y", "v").unwrap(), Some("vy".into()));
}

#[test]
fn body_and_init_do_not_wait() {
    let bench = bench(
        "core.sleep(100) core.yield() assert(core.tcp() == nil) assert(core.backends == nil)
         core.register_init(function() core.msleep(100000) core.Info('up') end)",
    );
    bench.runtime.run_init().unwrap();
    assert_eq!(bench.core.take_log(), ["info: up"]);
    assert_eq!(bench.core.elapsed(), Duration::ZERO);
}

#[test]
fn a_txn_kept_by_a_script_is_dead_outside_its_call() {
    let bench = bench(
        r#"core.register_action("keep", {"http-req"}, function(txn) kept, f = txn, txn.f end)
           core.register_action("use", {"http-req"}, function(txn)
             core.Info(tostring(kept))
             for _, use in ipairs{
               function() return kept:get_var("txn.x") end,
               function() return f:path() end,
               function() return kept.f:path() end,
               function() return kept.sf:path() end,
               function() return txn.set_var(kept, "txn.x", 1) end,
             } do core.Info(select(2, pcall(use))) end
           end)"#,
    );
    bench.action("keep", get()).1.unwrap();
    bench.action("use", get()).1.unwrap();
    insta::assert_snapshot!(bench.core.take_log().join("\n"));
}

#[test]
fn a_sleeping_scripts_txn_is_dead_for_others_and_alive_again_for_itself() {
    let bench = bench(
        r#"core.register_action("sleep", {"http-req"}, function(txn)
             kept = txn
             core.sleep(1)
             txn:set_var("txn.r", txn.f:path())
           end)
           core.register_action("peek", {"http-req"}, function() core.Info(tostring(pcall(function() return kept.f:path() end))) end)"#,
    );
    let mut cx = Context::from_waker(Waker::noop());
    let site = bench.runtime.call_site(&ACTION, "sleep", &[]).unwrap();
    let mut sleeper = bench.runtime.start(site);
    let (lent, poll) = sleeper.poll(Lent::Txn(get()), bench.now(), &mut cx);
    assert!(matches!(poll, Poll::Pending));
    bench.action("peek", get()).1.unwrap();
    assert_eq!(bench.core.take_log(), ["info: false"]);
    let (_, result) = bench.core.block_on(&mut sleeper, lent);
    result.unwrap();
}

#[test]
fn a_dropped_execution_leaves_nothing_behind() {
    let bench = bench(
        r#"marks = setmetatable({}, {__mode = "k"})
           core.register_action("wait", {"http-req"}, function(txn) local mark = {} marks[mark] = true core.sleep(1) end)"#,
    );
    let mut cx = Context::from_waker(Waker::noop());
    let site = bench.runtime.call_site(&ACTION, "wait", &[]).unwrap();
    for _ in 0..10 {
        let mut execution = bench.runtime.start(site);
        assert!(execution.poll(Lent::Txn(get()), bench.now(), &mut cx).1.is_pending());
    }
    let lines = bench.probe(
        "collectgarbage() collectgarbage() local n = 0 for _ in pairs(marks) do n = n + 1 end core.Info(n)",
    );
    assert_eq!(lines, ["info: 0"]);
}

#[test]
fn tasks_start_when_the_scheduler_does_and_later_ones_at_once() {
    let bench = bench(
        r#"core.register_task(function(a, b)
             core.Info("task " .. a .. b)
             core.sleep(1)
             core.register_task(function() core.Info("second") end)
             error("third")
           end, "x", 1)"#,
    );
    assert!(bench.core.take_log().is_empty());
    bench.runtime.start_tasks().unwrap();
    assert_eq!(bench.core.run_tasks(), 1);
    assert_eq!(bench.core.take_log(), ["info: task x1"]);
    bench.core.advance(Duration::from_secs(1));
    assert_eq!(bench.core.run_tasks(), 0);
    let mut log = bench.core.take_log();
    log.sort();
    assert_eq!(
        log,
        [
            "alert: Lua task: [state-id 1] runtime error: test.lua:5: third from [C]: in global 'error', test.lua:5: in function line 1.",
            "info: second",
        ]
    );
}

#[test]
fn core_done_ends_a_run_with_its_value() {
    let bench = bench(
        r#"core.register_fetches("f", function() (function() core.done("early") end)() return "late" end)
           core.register_action("a", {"http-req"}, function(txn) core.done(act.STOP) end)"#,
    );
    assert_eq!(bench.fetch("f", get(), &[]).unwrap(), Some("early".into()));
    assert_eq!(bench.action("a", get()).1.unwrap().action_code(), 1);
}

/// Members are reused from run to run of one coroutine: each run must find its own stream behind them, also when
/// runs interleave.
#[test]
fn members_of_interleaved_runs_stay_with_their_stream() {
    let bench = bench(
        r#"core.register_action("a", {"http-req"}, function(txn)
             local f, http = txn.f, txn.http
             for i = 1, 3 do
               core.yield()
               http:req_set_header("x-path", f:path() .. txn.sf:path())
             end
           end)"#,
    );
    let site = bench.runtime.call_site(&ACTION, "a", &[]).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut runs: Vec<_> = (0..8)
        .map(|n| {
            let txn = MemoryTxn::request("GET", &format!("/{n}"), &[]);
            (bench.runtime.start(site), Some(Lent::Txn(txn)), false)
        })
        .collect();
    while runs.iter().any(|(_, _, done)| !done) {
        for (execution, lent, done) in runs.iter_mut().filter(|(_, _, done)| !done) {
            let (back, poll) = execution.poll(lent.take().unwrap(), bench.now(), &mut cx);
            *lent = Some(back);
            *done = poll.map(Result::unwrap).is_ready();
        }
    }
    for (n, (_, lent, _)) in runs.into_iter().enumerate() {
        let txn: Box<MemoryTxn> = downcast(lent.unwrap());
        assert_eq!(txn.request_header("x-path").unwrap(), format!("/{n}/{n}"));
    }
}

#[test]
fn a_task_that_never_ends_may_start_others() {
    let bench = bench(
        r#"core.register_task(function()
             core.register_task(function() core.Info("child") end)
             while true do core.sleep(1) end
           end)"#,
    );
    bench.runtime.start_tasks().unwrap();
    assert_eq!(bench.core.run_tasks(), 1);
    assert_eq!(bench.core.take_log(), ["info: child"]);
}

#[test]
fn waiting_ends_with_its_time_or_with_anything_that_wakes_the_run() {
    let bench = bench("");
    assert_eq!(bench.probe("core.wait(5) core.Info('on')"), ["info: on"]);
    assert_eq!(bench.core.elapsed(), Duration::from_millis(5));

    bench
        .load(
            r#"core.register_action("wait", {"http-req"}, function(txn) core.wait() core.Info("woken") end)"#,
        )
        .unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let site = bench.runtime.call_site(&ACTION, "wait", &[]).unwrap();
    let mut run = bench.runtime.start(site);
    let (lent, poll) = run.poll(Lent::Txn(get()), bench.now(), &mut cx);
    assert!(poll.is_pending());
    let (_, poll) = run.poll(lent, bench.now(), &mut cx);
    assert!(poll.is_ready(), "being polled again means that something woke it");
    assert_eq!(bench.core.take_log(), ["info: woken"]);
}
