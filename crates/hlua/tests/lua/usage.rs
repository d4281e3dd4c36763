//! What functions cost, and what is told of those that fail.

use crate::bench::{Bench, get};
use hlua::{Config, ContextKind, FunctionUsage, Preemption};

fn usage_of(bench: &Bench, name: &str) -> FunctionUsage {
    let all = bench.runtime.usage().functions();
    all.into_iter().find(|function| function.name == name).expect("it ran")
}

#[test]
fn runs_yields_and_errors_are_counted_a_function() {
    let bench = Bench::new(
        &Config::default(),
        r#"core.register_action("waits", {"http-req"}, function(txn) core.yield() core.msleep(1) end)
           core.register_action("fails", {"http-req"}, function(txn) error("no") end)
           core.register_fetches("waits", function(txn) core.sleep(1) end)"#,
    );
    for _ in 0..3 {
        bench.action("waits", get()).1.unwrap();
        bench.action("fails", get()).1.unwrap_err();
    }
    bench.fetch("waits", get(), &[]).unwrap_err();
    let counts = |context| {
        let all = bench.runtime.usage().functions().into_iter();
        let found = all.filter(|function| function.context == context);
        found.map(|f| (f.name, f.place, f.calls, f.yields, f.errors)).collect::<Vec<_>>()
    };
    let name = str::to_owned;
    assert_eq!(
        counts(ContextKind::Action),
        [(name("waits"), name("test.lua:1"), 3, 6, 0), (name("fails"), name("test.lua:2"), 3, 0, 3)]
    );
    assert_eq!(counts(ContextKind::Fetch), [(name("waits"), name("test.lua:3"), 1, 0, 1)]);
    assert_eq!(counts(ContextKind::Body), [(name(""), name("test.lua"), 1, 0, 0)]);
}

#[test]
fn forced_yields_are_counted_apart() {
    let config = Config { preemption: Preemption::Count(1000), ..Config::default() };
    let bench = Bench::new(
        &config,
        r#"core.register_action("long", {"http-req"}, function(txn) local n = 0 for i = 1, 10000 do n = n + i end end)"#,
    );
    bench.action("long", get()).1.unwrap();
    let usage = usage_of(&bench, "long");
    assert!(usage.preemptions > 5, "{usage:?}");
    assert_eq!(usage.yields, 0);
}

/// Each forced yield once left the stopped frame a slot larger, until the stack overflowed.
#[test]
fn forced_yields_leave_nothing_behind() {
    let config = Config { preemption: Preemption::Count(1), session_timeout: None, ..Config::default() };
    let bench = Bench::new(
        &config,
        r#"core.register_action("long", {"http-req"}, function(txn)
             local before = collectgarbage("count")
             for i = 1, 20000 do end
             core.Info(tostring(collectgarbage("count") - before < 64))
           end)"#,
    );
    bench.action("long", get()).1.unwrap();
    assert!(usage_of(&bench, "long").preemptions > 20_000);
    assert_eq!(bench.core.take_log(), ["info: true"]);
}

#[test]
fn tasks_started_from_one_place_are_one_function() {
    let bench =
        Bench::new(&Config::default(), "for i = 1, 5 do core.register_task(function() core.yield() end) end");
    bench.runtime.start_tasks().unwrap();
    assert_eq!(bench.core.run_tasks(), 0);
    let all = bench.runtime.usage().functions();
    let tasks: Vec<_> = all.iter().filter(|function| function.context == ContextKind::Task).collect();
    assert_eq!(tasks.len(), 1, "{all:?}");
    assert_eq!((tasks[0].calls, tasks[0].yields, &*tasks[0].place), (5, 5, "test.lua:1"));
}

#[test]
fn memory_is_told_every_few_runs() {
    let bench = Bench::new(
        &Config::default(),
        r#"keep = string.rep("x", 1000000) core.register_action("a", {"http-req"}, function(txn) end)"#,
    );
    for _ in 0..20 {
        bench.action("a", get()).1.unwrap();
    }
    assert!(bench.runtime.usage().memory_bytes() > 1_000_000);
}

#[test]
fn a_failure_is_told_with_its_calls_and_arguments() {
    let bench = Bench::new(
        &Config::default(),
        r#"local function inner(t) return t.x.y end
           local function outer(t) local r = inner(t) return r end
           core.register_action("a", {"http-req"}, function(txn, name, count)
             local r = outer({})
           end, 2)"#,
    );
    let long = "x".repeat(100);
    let site = bench.runtime.call_site(&crate::bench::ACTION, "a", &[b"a\"b", long.as_bytes()]).unwrap();
    bench.core.block_on(&mut bench.runtime.start(site), hlua::Lent::Txn(get())).1.unwrap_err();
    let failures = bench.core.take_failures();
    assert_eq!(failures.len(), 1);
    let failure = &failures[0];
    assert_eq!(failure.function, "Lua function 'a'");
    assert_eq!(failure.traceback.len(), 3, "{failure:?}");
    assert!(failure.traceback[0].starts_with("test.lua:1: in"), "{failure:?}");
    assert!(failure.traceback[2].starts_with("test.lua:4: in"), "{failure:?}");
    let shortened = format!("\"{}\"…", "x".repeat(64));
    assert_eq!(failure.arguments, ["TXN", r#""a\"b""#, &shortened]);
    assert!(failure.message.contains("attempt to index a nil value"));
}

#[test]
fn an_endless_recursion_is_told_without_walking_its_stack() {
    let bench = Bench::new(
        &Config::default(),
        r#"local function deep(n) return 1 + deep(n + 1) end
           core.register_action("a", {"http-req"}, function(txn) deep(1) end)"#,
    );
    bench.action("a", get()).1.unwrap_err();
    let failures = bench.core.take_failures();
    assert_eq!(failures[0].traceback.last().unwrap(), "...");
    assert!(failures[0].arguments.is_empty());
}
