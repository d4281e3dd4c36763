//! The texts that reach the log and the script.

use hlua::Config;

use crate::bench::{Bench, HTTP, get};
use hlua::Lent;
use hlua::host::memory::MemoryAppletHttp;

fn bench(script: &str) -> Bench {
    Bench::new(&Config::default(), script)
}

/// Line for line what HAProxy 2.6 prints for the same script, but for the state's number and what we add in
/// parentheses.
#[test]
fn log_lines_read_as_haproxys() {
    let bench = bench(
        r#"core.register_action("err", {"http-req"}, function(txn) local x = nil; x.y = 1 end)
core.register_action("err2", {"http-req"}, function(txn) error("custom") end)
core.register_action("err3", {"http-req"}, function(txn) error({}) end)
core.register_action("badarg", {"http-req"}, function(txn) txn:set_var() end)
core.register_action("badarg2", {"http-req"}, function(txn) txn.http:req_set_header("a") end)
core.register_action("log2", {"http-req"}, function(txn) core.log(9, "x") end)
core.register_action("deep", {"http-req"}, function(txn) local function f(n) if n == 0 then error("deep") end f(n-1) return 1 end f(3) end)
core.register_fetches("ferr", function(txn) error("in fetch") end)
core.register_converters("cerr", function(v) error("in conv") end)
core.register_service("serr", "http", function(applet) error("in service") end)
core.register_service("sbad", "http", function(applet) applet:send("x") end)
core.register_action("nil", {"http-req"}, function(txn) txn.nothing() end)
core.register_action("type", {"http-req"}, function(txn) txn.http:req_add_header("a", {}) end)
core.register_action("nul", {"http-req"}, function(txn) txn.http:req_add_header("a", "b\r\nc") end)
core.register_action("refused", {"http-req"}, function(txn) txn.f:refused() end)
core.register_action("none", {"http-req"}, function(txn) txn.http:req_rep_header("a", "b", "c") end)
core.register_init(function() error("in init") end)"#,
    );
    let mut lines = Vec::new();
    for name in
        ["err", "err2", "err3", "badarg", "badarg2", "log2", "deep", "nil", "type", "nul", "refused", "none"]
    {
        lines.push(bench.action(name, get()).1.unwrap_err().to_string());
    }
    lines.push(bench.fetch("ferr", get(), &[]).unwrap_err().to_string());
    lines.push(bench.convert("cerr", "x").unwrap_err().to_string());
    for name in ["serr", "sbad"] {
        let applet = MemoryAppletHttp::new("GET", "/", &[], &[]);
        let (_, result) = bench.service::<MemoryAppletHttp>(&HTTP, name, Lent::AppletHttp(applet));
        lines.push(result.unwrap_err().to_string());
    }
    lines.push(bench.runtime.run_init().unwrap_err().to_string());
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_script_that_does_not_load_says_where() {
    let bench = Bench::empty(&Config::default());
    let errors = [
        bench.load("local x = = 1"),
        bench.load("error('no')"),
        bench.load("core.register_action('x', {'nowhere'}, function() end)"),
        bench.load("core.register_service('x', 'udp', function() end)"),
        bench.load("core.event_sub({'SERVER_UPP'}, function() end)"),
        bench.load("act.wake_time(1)"),
        bench.runtime.load_file("/nonexistent/x.lua".as_ref(), &[]),
    ];
    let lines: Vec<_> = errors.into_iter().map(|result| result.unwrap_err().to_string()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn errors_are_strings_that_scripts_can_match() {
    let bench = bench("");
    let lines = bench.probe(
        r#"local ok, message = pcall(function() txn.f:refused() end)
           core.Info(type(message) .. " " .. message:match("refuses") .. " " .. ("x" .. message):sub(1, 5))
           ok, message = pcall(function() core.register_action("late", {"http-req"}, function() end) end)
           core.Info(message)
           ok, message = pcall(function() txn.req:append("x") end)
           core.Info(message)"#,
    );
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_vm_goes_on_after_errors() {
    let bench = bench(
        r#"core.register_action("bad", {"http-req"}, function(txn) error("no") end)
           core.register_action("good", {"http-req"}, function(txn) return act.STOP end)"#,
    );
    for _ in 0..1000 {
        bench.action("bad", get()).1.unwrap_err();
        assert_eq!(bench.action("good", get()).1.unwrap().action_code(), 1);
    }
}
