//! Event handlers: order, data, yields, the end of a subscription, overflow.

use std::time::Duration;

use hlua::Config;
use hlua::host::{
    Event, ServerEvent, ServerEventAdmin, ServerEventCheck, ServerEventDetails, ServerEventState,
};

use crate::bench::Bench;

fn bench(script: &str) -> Bench {
    let bench = Bench::new(&Config::default(), script);
    bench.core.proxies.add("be", (false, true), &[("s1", "127.0.0.1:80"), ("s2", "127.0.0.1:81")]);
    bench.runtime.start_tasks().unwrap();
    bench.core.run_tasks();
    bench
}

fn event(name: &'static str, puid: i64, details: ServerEventDetails) -> Event {
    let data = ServerEvent {
        name: format!("s{puid}"),
        puid,
        rid: 0,
        proxy_name: "be".into(),
        proxy_uuid: 2,
        details,
    };
    Event { name, when: 1_700_000_000, data: Some(data) }
}

fn plain(name: &'static str) -> Event {
    event(name, 1, ServerEventDetails::None)
}

#[test]
fn a_handler_sees_down_then_up() {
    let bench = bench(
        r#"core.event_sub({"SERVER_UP", "SERVER_DOWN"}, function(event, data, sub, when)
             core.Info(event .. " " .. data.proxy_name .. "/" .. data.name .. " " .. data.reference:get_addr() .. " " ..
               math.type(when) .. " " .. tostring(sub))
           end)"#,
    );
    for name in ["SERVER_DOWN", "SERVER_STATE", "SERVER_UP"] {
        bench.core.events.publish(&plain(name));
    }
    bench.core.run_tasks();
    assert_eq!(
        bench.core.take_log(),
        [
            "info: SERVER_DOWN be/s1 127.0.0.1:80 integer HAProxy class EventSub",
            "info: SERVER_UP be/s1 127.0.0.1:80 integer HAProxy class EventSub",
        ]
    );
}

#[test]
fn handlers_get_every_field() {
    let bench = bench(
        r#"local function show(value)
             if type(value) ~= "table" then return tostring(value) end
             if value.get_name then return "<" .. value:get_name() .. ">" end
             local keys = {}
             for key in pairs(value) do keys[#keys + 1] = key end
             table.sort(keys)
             for at, key in ipairs(keys) do keys[at] = key .. "=" .. show(value[key]) end
             return "{" .. table.concat(keys, " ") .. "}"
           end
           core.event_sub({"SERVER_STATE", "SERVER_ADMIN", "SERVER_CHECK", "SERVER_DEL"}, function(event, data)
             core.Info(event .. " " .. show(data))
           end)"#,
    );
    let check = ServerEventCheck {
        result: Some("FAILED"),
        duration: 12,
        reason_short: "L4CON".into(),
        reason_desc: "Layer4 connection problem".into(),
        health_cur: 1,
        health_rise: 2,
        health_fall: 3,
        ..ServerEventCheck::default()
    };
    let state = ServerEventState {
        check: Some(check.clone()),
        old_state: "RUNNING",
        new_state: "STOPPED",
        ..ServerEventState::default()
    };
    let admin = ServerEventAdmin {
        old_admin: [("MAINT", false), ("DRAIN", false)].into(),
        new_admin: [("MAINT", true), ("DRAIN", false)].into(),
        requeued: 2,
        ..ServerEventAdmin::default()
    };
    bench.core.events.publish(&event("SERVER_CHECK", 1, ServerEventDetails::Check(check)));
    bench.core.events.publish(&event("SERVER_STATE", 1, ServerEventDetails::State(state)));
    bench.core.events.publish(&event("SERVER_ADMIN", 2, ServerEventDetails::Admin(admin)));
    bench.core.events.publish(&plain("SERVER_DEL"));
    bench.core.run_tasks();
    insta::assert_snapshot!(bench.core.take_log().join("\n"));
}

#[test]
fn one_handler_runs_its_events_in_order_even_when_it_sleeps() {
    let bench = bench(
        r#"core.event_sub({"SERVER_UP", "SERVER_DOWN"}, function(event)
             core.Info("begin " .. event) core.sleep(1) core.Info("end " .. event)
           end)"#,
    );
    bench.core.events.publish(&plain("SERVER_DOWN"));
    bench.core.events.publish(&plain("SERVER_UP"));
    bench.core.run_tasks();
    assert_eq!(bench.core.take_log(), ["info: begin SERVER_DOWN"]);
    for _ in 0..2 {
        bench.core.advance(Duration::from_secs(1));
        bench.core.run_tasks();
    }
    assert_eq!(
        bench.core.take_log(),
        ["info: end SERVER_DOWN", "info: begin SERVER_UP", "info: end SERVER_UP"]
    );
}

#[test]
fn unsub_delivers_what_is_queued_and_then_ends() {
    let bench = bench(
        r#"core.event_sub({"SERVER_UP"}, function(event, data, sub) core.Info(event) sub:unsub() sub:unsub() end)"#,
    );
    for _ in 0..3 {
        bench.core.events.publish(&plain("SERVER_UP"));
    }
    assert_eq!(bench.core.run_tasks(), 0);
    bench.core.events.publish(&plain("SERVER_UP"));
    bench.core.run_tasks();
    assert_eq!(bench.core.take_log().len(), 3);
}

#[test]
fn a_handlers_error_is_logged_and_the_next_event_comes() {
    let bench = bench(r#"core.event_sub({"SERVER_UP"}, function(event) error("no") end)"#);
    for _ in 0..2 {
        bench.core.events.publish(&plain("SERVER_UP"));
    }
    assert_eq!(bench.core.run_tasks(), 1);
    let line = "alert: Lua event_hdl: [state-id 1] runtime error: test.lua:1: no from [C]: in global 'error', test.lua:1: in function line 1.";
    assert_eq!(bench.core.take_log(), [line, line]);
}

#[test]
fn above_a_hundred_waiting_the_subscription_pauses_and_says_so() {
    let bench = bench(r#"local n = 0 core.event_sub({"SERVER_UP"}, function() n = n + 1 core.Info(n) end)"#);
    for _ in 0..150 {
        bench.core.events.publish(&plain("SERVER_UP"));
    }
    bench.core.run_tasks();
    let log = bench.core.take_log();
    assert!(log[0].starts_with("warning: Lua event_hdl: 101 unconsumed events"), "{}", log[0]);
    assert_eq!(log.last().unwrap(), "info: 101");
    bench.core.events.publish(&plain("SERVER_UP"));
    bench.core.run_tasks();
    assert_eq!(bench.core.take_log(), ["info: 102"]);
}

#[test]
fn a_servers_own_subscription_hears_that_server_only() {
    let bench = bench(
        r#"core.register_task(function()
             core.backends["be"].servers["s2"]:event_sub({"SERVER_UP"}, function(event, data) core.Info(data.name) end)
           end)"#,
    );
    bench.core.events.publish(&plain("SERVER_UP"));
    bench.core.events.publish(&event("SERVER_UP", 2, ServerEventDetails::None));
    bench.core.run_tasks();
    assert_eq!(bench.core.take_log(), ["info: s2"]);
}

#[test]
fn only_the_first_per_thread_vm_subscribes_at_load() {
    let core = hlua::host::memory::MemoryCore::new(bench("").now());
    let second = hlua::Runtime::per_thread(&Config::default(), core.clone(), 2).unwrap();
    let script =
        b"sub = core.event_sub({'SERVER_UP'}, function() core.Info('heard') end) core.Info(tostring(sub))";
    second.load_source("t.lua", script, &[]).unwrap();
    second.start_tasks().unwrap();
    assert_eq!(core.run_tasks(), 0);
    assert_eq!(core.take_log(), ["info: nil"]);
}
