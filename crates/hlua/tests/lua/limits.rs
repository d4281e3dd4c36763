//! Run time, memory, preemption: what a bad script can and cannot do.

use std::task::{Context, Waker};
use std::time::Duration;

use hlua::host::memory::MemoryAppletHttp;
use hlua::{Config, Error, Lent, MemoryPool, Preemption};

use crate::bench::{ACTION, Bench, HTTP, get};

/// Each reading of the clock is a millisecond later, so run time passes while the hook looks.
fn ticking(config: Config, script: &str) -> Bench {
    let bench = Bench::new(&config, script);
    bench.core.tick_on_reading(Duration::from_millis(1));
    bench
}

const LOOPS: &str = r#"
    core.register_action("loop", {"http-req"}, function() while true do end end)
    core.register_action("ploop", {"http-req"}, function() while true do pcall(function() while true do end end) end end)
    core.register_action("coloop", {"http-req"}, function()
      while true do coroutine.wrap(function() pcall(function() while true do end end) end)() end
    end)
    core.register_action("gsub", {"http-req"}, function() string.gsub("a", ".", function() while true do end end) end)
    core.register_action("yields", {"http-req"}, function() while true do core.yield() end end)
    core.register_fetches("loop", function() while true do end end)
    core.register_fetches("ploop", function() while true do pcall(function() while true do end end) end end)
    core.register_converters("loop", function() while true do end end)
    core.register_service("loop", "http", function() while true do end end)
    core.register_task(function() local n = 0 while true do n = n + 1 end end)
"#;

#[test]
fn endless_loops_end_by_timeout_in_every_kind_of_function() {
    let bench = ticking(Config::default(), LOOPS);
    let mut lines = Vec::new();
    for name in ["loop", "ploop", "coloop", "gsub", "yields"] {
        let error = bench.action(name, get()).1.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{name}: {error}");
        lines.push(error.to_string());
    }
    for name in ["loop", "ploop"] {
        lines.push(bench.fetch(name, get(), &[]).unwrap_err().to_string());
    }
    lines.push(bench.convert("loop", "x").unwrap_err().to_string());
    let applet = Lent::AppletHttp(MemoryAppletHttp::new("GET", "/", &[], &[]));
    lines.push(bench.service::<MemoryAppletHttp>(&HTTP, "loop", applet).1.unwrap_err().to_string());
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn an_endless_loop_lets_others_run_meanwhile() {
    let script =
        format!("{LOOPS} core.register_action('quick', {{'http-req'}}, function() return act.STOP end)");
    let bench = ticking(Config::default(), &script);
    let mut cx = Context::from_waker(Waker::noop());
    let site = bench.runtime.call_site(&ACTION, "loop", &[]).unwrap();
    let mut looping = bench.runtime.start(site);
    let mut lent = Lent::Txn(get());
    for _ in 0..20 {
        let (back, poll) = looping.poll(lent, bench.now(), &mut cx);
        assert!(poll.is_pending());
        lent = back;
        assert_eq!(bench.action("quick", get()).1.unwrap().action_code(), 1);
    }
}

#[test]
fn tasks_have_no_limit_by_default_but_give_way() {
    let bench = ticking(Config::default(), LOOPS);
    bench.runtime.start_tasks().unwrap();
    // Only a bounded number of rounds can be seen from here: the task never ends and always wants to go on.
    let mut cx = Context::from_waker(Waker::noop());
    let config = Config { task_timeout: Some(Duration::from_secs(2)), ..Config::default() };
    let limited = ticking(config, "core.register_task(function() while true do end end)");
    limited.runtime.start_tasks().unwrap();
    assert_eq!(limited.core.run_tasks(), 0);
    assert!(limited.core.take_log()[0].contains("execution timeout"));
    let _ = &mut cx;
}

#[test]
fn sleeping_is_not_run_time() {
    let bench = ticking(
        Config::default(),
        "core.register_action('a', {'http-req'}, function() for i = 1, 10 do core.sleep(60) end return act.STOP end)",
    );
    assert_eq!(bench.action("a", get()).1.unwrap().action_code(), 1);
}

#[test]
fn the_burst_limit_counts_one_stretch() {
    let config = Config {
        burst_timeout: Some(Duration::from_millis(100)),
        session_timeout: None,
        ..Config::default()
    };
    let bench = ticking(config, LOOPS);
    let error = bench.fetch("loop", get(), &[]).unwrap_err().to_string();
    assert!(error.contains("runtime error: burst timeout from test.lua:"), "{error}");
}

/// The same program with a yield at every instruction and with none: the script cannot tell.
#[test]
fn forced_yields_change_no_result() {
    let program = r#"
        core.register_action("a", {"http-req"}, function(txn)
          local out = {}
          local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end return "end" end) end
          local g = gen(5)
          for i = 1, 6 do out[#out + 1] = tostring(g()) end
          local co = coroutine.create(function(...) local a = {...} for i = 1, 3 do a = {coroutine.yield(#a, a[1])} end error("oops") end)
          for i = 1, 5 do local r = {coroutine.resume(co, i, i)} for k = 1, 3 do out[#out + 1] = tostring(r[k]) end end
          local t = {5, 3, 9, 1, 7}
          table.sort(t, function(a, b) local x = 0 for i = 1, 20 do x = x + i end return a < b end)
          out[#out + 1] = table.concat(t, ",")
          out[#out + 1] = (("hello world"):gsub("%w+", function(w) local s = "" for i = #w, 1, -1 do s = s .. w:sub(i, i) end return s end))
          local mt = setmetatable({}, {__index = function(_, k) local s = 0 for i = 1, k do s = s + i end return s end, __call = function(_, a) return a .. "c" end,
            __lt = function() for i = 1, 5 do end return true end, __concat = function(a, b) return "cc" end, __close = function() out[#out + 1] = "closed" end})
          out[#out + 1] = mt[10] .. mt("x") .. tostring(mt < mt) .. (mt .. "z")
          do local c <close> = mt for i = 1, 3 do end end
          out[#out + 1] = tostring(select(2, pcall(function() local n = 0 for i = 1, 50 do n = n + i end error(n, 0) end)))
          out[#out + 1] = tostring(select(2, xpcall(function() error("x", 0) end, function(m) for i = 1, 5 do end return m .. "h" end)))
          for k, v in (function() local i = 0 return function() i = i + 1 if i < 4 then return i, i * i end end end)() do out[#out + 1] = k .. "=" .. v end
          local deep = coroutine.wrap(function() return coroutine.wrap(function() local s = 0 for i = 1, 30 do s = s + i end coroutine.yield(s) return "d" end) end)()
          out[#out + 1] = deep() .. deep()
          txn:set_var("txn.out", table.concat(out, " "))
        end)"#;
    let run = |count| {
        let config =
            Config { preemption: Preemption::Count(count), session_timeout: None, ..Config::default() };
        let bench = Bench::new(&config, program);
        let (txn, result) = bench.action("a", get());
        result.unwrap();
        txn.stream.variables[b"txn.out".as_slice()].clone()
    };
    let plain = run(1_000_000_000);
    for count in [1, 2, 3, 7, 13, 100] {
        assert_eq!(run(count), plain, "a yield every {count} instructions");
    }
}

// ---- memory ------------------------------------------------------------------------------------------------------

const HUNGRY: &str = r#"
    local function eat() local s = string.rep("x", 1000) while true do s = s .. s end end
    core.register_action("eat", {"http-req"}, eat)
    core.register_action("many", {"http-req"}, function() local t = {} while true do t[#t + 1] = {} end end)
    core.register_action("cos", {"http-req"}, function() local t = {} while true do t[#t + 1] = coroutine.create(eat) end end)
    core.register_action("api", {"http-req"}, function(txn) local t = {} while true do t[#t + 1] = txn.http:req_get_headers() end end)
    core.register_action("vars", {"http-req"}, function(txn) local t = {} while true do t[#t + 1] = core.concat() t[#t + 1] = core.tokenize("a,b", ",") end end)
    core.register_action("caught", {"http-req"}, function(txn) txn:set_var("txn.m", select(2, pcall(eat))) end)
    core.register_action("ok", {"http-req"}, function() return act.STOP end)
    core.register_fetches("eat", eat)
    core.register_converters("eat", eat)
    core.register_service("eat", "http", eat)
    core.register_task(eat)
"#;

fn capped(bytes: usize) -> Config {
    Config { memory: Some(MemoryPool::new(bytes)), ..Config::default() }
}

#[test]
fn the_memory_cap_ends_the_run_and_nothing_else() {
    let bench = Bench::new(&capped(4 << 20), HUNGRY);
    let mut lines = Vec::new();
    for name in ["eat", "many", "cos", "api", "vars"] {
        let error = bench.action(name, get()).1.unwrap_err();
        assert!(matches!(error, Error::Memory { .. }), "{name}: {error}");
        lines.push(error.to_string());
        let after = bench.action("ok", get()).1;
        assert_eq!(after.map(|outcome| outcome.action_code()), Ok(1), "after {name}");
    }
    lines.push(bench.fetch("eat", get(), &[]).unwrap_err().to_string());
    lines.push(bench.convert("eat", "x").unwrap_err().to_string());
    let applet = Lent::AppletHttp(MemoryAppletHttp::new("GET", "/", &[], &[]));
    lines.push(bench.service::<MemoryAppletHttp>(&HTTP, "eat", applet).1.unwrap_err().to_string());
    bench.runtime.start_tasks().unwrap();
    bench.core.run_tasks();
    lines.extend(bench.core.take_log());
    insta::assert_snapshot!(lines.join("\n"));
    let (txn, _) = bench.action("caught", get());
    assert_eq!(txn.stream.variables[b"txn.m".as_slice()], "not enough memory".into());
}

#[test]
fn any_cap_gives_a_result_or_a_clean_error() {
    let script = format!(
        "{HUNGRY} core.register_action('work', {{'http-req'}}, function(txn) for i = 1, 50 do local h = txn.http:req_get_headers() txn.http:req_set_header('x', h.host[0] .. i) local c = core.concat() c:add(c:dump()) coroutine.wrap(function() core.msleep(1) end)() end end)"
    );
    for bytes in (150..700).step_by(7).map(|k| k * 1000) {
        let core = Bench::empty(&capped(bytes));
        if core.load(&script).is_err() {
            continue;
        }
        for name in ["work", "eat", "work", "api", "work"] {
            if let Err(error) = core.action(name, get()).1 {
                assert!(matches!(error, Error::Memory { .. } | Error::Script { .. }), "{bytes}: {error}");
            }
        }
    }
}

#[test]
fn two_vms_share_one_budget() {
    let pool = MemoryPool::new(8 << 20);
    let config = Config { memory: Some(pool.clone()), ..Config::default() };
    let hoard = "core.register_action('hoard', {'http-req'}, function() kept = string.rep('x', 3 << 20) end)";
    let (a, b) = (Bench::new(&config, hoard), Bench::new(&config, hoard));
    a.action("hoard", get()).1.unwrap();
    assert!(pool.used_bytes() > 3 << 20);
    assert!(matches!(b.action("hoard", get()).1, Err(Error::Memory { .. })));
    drop(a);
    b.action("hoard", get()).1.unwrap();
}

/// `tune.lua.*` may stand after `lua-load`.
#[test]
fn settings_that_come_late_hold_for_scripts_loaded_before() {
    let unlimited = Config { session_timeout: None, burst_timeout: None, ..Config::default() };
    let script = "core.register_action('hoard', {'http-req'}, function() kept = string.rep('x', 9 << 20) end)
        core.register_action('loop', {'http-req'}, function() while true do end end)";
    let bench = ticking(unlimited.clone(), script);
    bench.action("hoard", get()).1.unwrap();
    bench.load("kept = nil collectgarbage()").unwrap();
    bench.runtime.apply(&Config {
        session_timeout: Some(Duration::from_millis(20)),
        preemption: Preemption::Count(100),
        memory: Some(MemoryPool::new(8 << 20)),
        ..unlimited
    });
    assert!(matches!(bench.action("loop", get()).1, Err(Error::Timeout { .. })));
    assert!(matches!(bench.action("hoard", get()).1, Err(Error::Memory { .. })));
}

#[test]
fn a_path_that_comes_late_is_searched_first() {
    let bench = Bench::empty(&Config::default());
    bench.runtime.prepend_path("path", "/first/?.lua").unwrap();
    bench.runtime.prepend_path("cpath", "/first/?.so").unwrap();
    bench.load("assert(package.path:find('/first/?.lua;', 1, true) == 1)").unwrap();
    bench.load("assert(package.cpath:find('/first/?.so;', 1, true) == 1)").unwrap();
}
