//! Queues between tasks, and `core.wait`.

use std::time::Duration;

use crate::bench::Bench;
use hlua::Config;

fn bench(script: &str) -> Bench {
    Bench::new(&Config::default(), script)
}

#[test]
fn what_is_pushed_first_comes_first_whatever_it_is() {
    let lines = bench("").probe(
        r#"local q, t = core.queue(), {}
           core.Info(tostring(q) .. " " .. q:size() .. " " .. tostring(q:pop()))
           core.Info(tostring(q:push("a")) .. tostring(q:push(t)) .. tostring(q:push(false)))
           core.Info(q:size() .. " " .. q:pop() .. " " .. tostring(q:pop() == t) .. " " .. tostring(q:pop()))
           core.Info(q:size() .. " " .. tostring(q:pop()))
           core.Info(select(2, pcall(q.push, q)))
           core.Info(select(2, pcall(q.push, q, nil)))
           core.Info(select(2, pcall(q.push, q, 1, 2)))"#,
    );
    assert_eq!(
        lines,
        [
            "info: HAProxy class Queue 0 nil",
            "info: truetruetrue",
            "info: 3 a true false",
            "info: 0 nil",
            "info: unexpected argument",
            "info: unexpected argument",
            "info: unexpected argument",
        ]
    );
}

#[test]
fn waiting_tasks_share_what_is_pushed_and_wait_again_for_the_rest() {
    let bench = bench(
        r#"local q = core.queue()
           for name in ("xy"):gmatch(".") do
             core.register_task(function()
               for _ = 1, 2 do core.Info(name .. " got " .. q:pop_wait()) end
             end)
           end
           core.register_task(function()
             for n = 1, 4 do core.sleep(1) q:push(n) end
             core.Info("left " .. q:size())
           end)"#,
    );
    bench.runtime.start_tasks().unwrap();
    let mut seen = Vec::new();
    for _ in 0..6 {
        bench.core.run_tasks();
        seen.extend(bench.core.take_log());
        bench.core.advance(Duration::from_secs(1));
    }
    seen.sort();
    let got: Vec<_> = seen.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(got.len(), 5);
    assert_eq!(seen.iter().filter(|line| line.starts_with("info: x got")).count(), 2);
    assert!(["1", "2", "3", "4"].iter().all(|number| got.contains(number)), "{seen:?}");
}

#[test]
fn an_alarm_ends_a_wait_and_so_does_its_time() {
    let bench = bench(
        r#"local q = core.queue()
           core.register_task(function()
             q:alarm()
             core.wait()
             core.Info("woken with " .. q:pop())
             core.wait(5000)
             core.Info("five seconds later")
           end)
           core.register_task(function() core.sleep(2) q:push("two") end)"#,
    );
    bench.runtime.start_tasks().unwrap();
    bench.core.run_tasks();
    assert!(bench.core.take_log().is_empty());
    bench.core.advance(Duration::from_secs(2));
    bench.core.run_tasks();
    assert_eq!(bench.core.take_log(), ["info: woken with two"]);
    bench.core.advance(Duration::from_secs(4));
    bench.core.run_tasks();
    assert!(bench.core.take_log().is_empty());
    bench.core.advance(Duration::from_secs(1));
    assert_eq!(bench.core.run_tasks(), 0);
    assert_eq!(bench.core.take_log(), ["info: five seconds later"]);
}

#[test]
fn a_fetch_may_not_wait_for_a_queue_even_if_something_is_there() {
    let bench = bench(
        r#"local q = core.queue()
           q:push(1)
           core.register_fetches("f", function(txn) return tostring(select(2, pcall(q.pop_wait, q))) end)"#,
    );
    let text = bench.fetch("f", crate::bench::get(), &[]).unwrap().unwrap();
    let hlua::Value::Str(text) = text else { panic!("text") };
    assert!(text.starts_with(b"'pop_wait' waits, and a sample fetch cannot wait"));
}

#[test]
fn queues_that_nobody_holds_let_their_values_go() {
    let lines = bench("").probe(
        r#"local dead = 0
           local q = core.queue()
           q:push(setmetatable({}, { __gc = function() dead = dead + 1 end }))
           q = nil
           collectgarbage() collectgarbage()
           core.Info(dead)"#,
    );
    assert_eq!(lines, ["info: 1"]);
}
