//! The test runner: what test files may do, and how their failures read.

use std::path::Path;
use std::rc::Rc;

use hlua::testing::{FileReport, Options, TestOutcome, run_file};

const SUBJECT: &str = r#"
  core.register_action("tag", {"http-req"}, function(txn, tag) txn.http:req_set_header("x-tag", tag .. txn.sf:path()) end, 1)
  core.register_action("fails", {"http-req"}, function(txn) local x = nil; x.y = 1 end)
  core.register_action("loops", {"http-req"}, function(txn) while true do end end)
  core.register_action("turns", {"http-req"}, function(txn) while true do core.yield() end end)
  core.register_action("sleeps", {"http-req"}, function(txn) core.sleep(3600) return act.DENY end)
  core.register_action("samples", {"http-req"}, function(txn)
    txn:set_var("txn.seen", txn.sf:ssl_sni() .. "/" .. txn.sc:sha1("x") .. "/" .. txn.f:src())
  end)
  core.register_action("back", {"http-res"}, function(txn) txn.http:res_set_header("x-a", "b") txn.http:res_set_status(418) end)
  core.register_action("tcp", {"tcp-req"}, function(txn) txn.req:prepend("<") end)
  core.register_service("echo", "tcp", function(applet) applet:send(applet:getline():upper()) end)
  core.register_service("post", "http", function(applet) applet:set_status(201, "Made") applet:start_response() applet:send(applet:receive()) end)
  core.register_init(function() ready = core.get_var("proc.mode") end)
  core.register_task(function() core.sleep(2) core.Info("slept") end)
  core.event_sub({"SERVER_STATE", "SERVER_CHECK"}, function(event, data)
    core.Info(event .. " " .. (data.state and data.state.new_state or data.check.result))
  end)
  core.register_action("asks", {"http-req"}, function(txn)
    local response = core.httpclient():post{ url = "http://auth/check", body = "who", headers = { ["x-a"] = { "1" } } }
    txn:set_var("txn.answer", response.status .. " " .. response.body)
  end)
  core.register_fetches("region", function(txn) return core.get_patref("regions")[txn.sf:src()] or "none" end)
  function add(a, b) return { sum = a + b } end
  arg1 = ...
"#;

fn run(tests: &str, filter: Option<&str>) -> FileReport {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("subject.lua"), SUBJECT).unwrap();
    std::fs::write(folder.path().join("helper.lua"), "return { name = 'helper' }").unwrap();
    let file = folder.path().join("x_test.lua");
    std::fs::write(&file, tests).unwrap();
    let now = crate::bench::now();
    let options = Options { filter: filter.map(str::to_owned), clock: Rc::new(move || now) };
    let mut report = run_file(&file, &options);
    let hide = |text: &mut String| *text = text.replace(&folder.path().display().to_string(), "");
    report.error.iter_mut().for_each(hide);
    for test in &mut report.tests {
        if let TestOutcome::Failed(text) = &mut test.outcome {
            hide(text);
        }
    }
    report
}

/// Every test of the file passes.
fn passes(tests: &str) {
    let report = run(tests, None);
    assert!(report.is_green() && !report.tests.is_empty(), "{report:#?}");
}

/// What the one test of the file fails with.
fn failure(body: &str) -> String {
    let report = run(&format!("it('x', function() local s = script.load('subject.lua')\n{body}\nend)"), None);
    match &report.tests[..] {
        [test] => match &test.outcome {
            TestOutcome::Failed(text) => text.clone(),
            other => panic!("{other:?}"),
        },
        _ => panic!("{report:?}"),
    }
}

#[test]
fn actions_fetch_stubs_and_responses() {
    passes(
        r#"local s
           before_each(function() s = script.load("subject.lua") end)
           it("request", function()
             local txn = s:txn({ method = "POST", path = "/p", headers = { Host = "h", ["X-A"] = { "1", "2" } } })
             assert.equal("continue", s:action("tag", txn, "at ").verdict)
             assert.header(txn, "x-tag", "at /p")
             assert.header(txn, "x-a", { "1", "2" })
             assert.equal("POST", txn:method())
           end)
           it("samples", function()
             s:stub_fetch("ssl_sni", function() return "example.org" end)
             s:stub_converter("sha1", function(input) return "<" .. input .. ">" end)
             local txn = s:txn({ fetches = { src = "192.0.2.7" } })
             s:action("samples", txn)
             assert.var(txn, "txn.seen", "example.org/<x>/192.0.2.7")
           end)
           it("response", function()
             local txn = s:txn():respond(200, { ["X-Old"] = "1" })
             s:action("back", txn)
             assert.response_header(txn, "x-a", "b")
             assert.equal(418, txn:status())
           end)
           it("tcp", function()
             local txn = s:txn({ tcp = "abc" })
             s:action("tcp", txn)
             assert.equal("<abc", txn:input())
           end)"#,
    );
}

#[test]
fn services_time_tasks_events_and_globals() {
    passes(
        r#"local s
           before_each(function()
             s = script.load("subject.lua", { args = { "one" } })
             s:set_proc_var("proc.mode", "test")
             s:proxy("be", { servers = { s1 = "127.0.0.1:80" } })
             s:start()
           end)
           it("services", function()
             assert.equal("LINE\n", s:tcp_service("echo", "li", "ne\nrest"))
             local response = s:service("post", { method = "POST", body = "data" })
             assert.same({ 201, "Made", "data" }, { response.status, response.reason, response.body })
           end)
           it("time", function()
             assert.equal(act.DENY, s:action("sleeps", s:txn()).code)
             assert.elapsed(s, 3600)
           end)
           it("tasks", function()
             s:advance(1.9)
             assert.not_logged(s, "slept")
             s:advance(0.2)
             assert.logged(s, "^info: slept")
           end)
           it("events", function()
             s:event("SERVER_STATE", "be/s1", { old_state = "RUNNING", new_state = "STOPPED" })
             s:event("SERVER_CHECK", "be/s1", { result = "FAILED" })
             assert.same({ "info: SERVER_STATE STOPPED", "info: SERVER_CHECK FAILED" }, s:log())
           end)
           it("globals and modules", function()
             assert.same({ sum = 3 }, s:eval("return add(1, 2)"))
             assert.equal("test", s:eval("return ready"))
             assert.equal("one", s:eval("return arg1"))
             assert.equal("helper", require("helper").name)
           end)
           it("requests of the script", function()
             s:http("http://auth/check", { status = 401, body = "no" })
             local txn = s:txn()
             s:action("asks", txn)
             assert.var(txn, "txn.answer", "401 no")
             local made = s:requests()
             assert.same({ "POST", "who", { "1" } }, { made[1].method, made[1].body, made[1].headers["x-a"] })
           end)
           it("maps", function()
             s:map("regions", { ["127.0.0.1"] = "home" })
             assert.equal("home", s:fetch("region", s:txn()))
             assert.equal("none", s:fetch("region", s:txn({ src = "192.0.2.1" })))
           end)
           it("commands", function()
             s:eval("core.backends.be.servers.s1:set_drain()")
             assert.matches("s1 ", s:commands()[1])
           end)"#,
    );
}

#[test]
fn order_of_hooks_names_and_filter() {
    let tests = r#"
      seen = ""
      before_each(function() seen = seen .. "a" end)
      after_each(function() seen = seen .. "z" end)
      describe("outer", function()
        before_each(function() seen = seen .. "b" end)
        after_each(function() seen = seen .. "y" end)
        it("one", function() assert.equal("ab", seen) end)
        it("two", function() assert.equal("abyzab", seen) end)
      end)
      pending("later")"#;
    let names = |report: &FileReport| report.tests.iter().map(|test| test.name.clone()).collect::<Vec<_>>();
    let all = run(tests, None);
    assert!(all.is_green(), "{all:?}");
    assert_eq!(names(&all), ["outer > one", "outer > two", "later"]);
    assert_eq!(all.tests[2].outcome, TestOutcome::Skipped);
    assert_eq!(names(&run(tests, Some("outer > o"))), ["outer > one"]);
}

#[test]
fn failures_say_where_and_what() {
    let texts = [
        "assert.equal(1, 2)",
        "assert.equal('a\\nb', 'a\\nc', 'lines')",
        "assert.same({ a = 1, b = { 2 } }, { a = 1, b = { 3 } })",
        "assert(false)",
        "assert.is_nil(0)",
        "assert.matches('^x', 'abc')",
        "assert.has_error(function() end)",
        "s:action('fails', s:txn())",
        "s:action('none', s:txn())",
        "s:action('tag', s:txn())",
        "s:action('loops', s:txn())",
        "s:txn({ heders = {} })",
        "assert.logged(s, 'x')",
        "assert.reply(s:txn(), { status = 200 })",
        "script.load('missing.lua')",
        "s:event('SERVER_DOWN', 'be/s9')",
        "s:advance('x')",
        "local x = nil; x.y = 1",
        "assert.no_such()",
    ];
    let shown: Vec<String> = texts.iter().map(|body| format!("{body}\n{}\n", failure(body))).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_script_that_gives_way_for_ever_is_given_up() {
    let text = failure("s:action('turns', s:txn())");
    assert!(text.contains("execution timeout"), "{text}");
}

#[test]
fn a_file_that_does_not_load_is_one_error() {
    let report = run("it('x', function(", None);
    assert!(report.tests.is_empty() && report.error.unwrap().contains("x_test.lua:1:"));
    let report = run("error('broken')", None);
    assert!(report.error.unwrap().contains("x_test.lua:1: broken"));
    let now = crate::bench::now();
    let options = Options { filter: None, clock: Rc::new(move || now) };
    assert!(run_file(Path::new("/no/such_test.lua"), &options).error.unwrap().contains("cannot open"));
}
