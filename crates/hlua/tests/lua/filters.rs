//! Filters: declared, put on a stream, called back, and what their objects can do there.

use crate::bench::{Bench, get};
use hlua::host::Side::{self, Request, Response};
use hlua::host::memory::MemoryTxn;
use hlua::{Callback, Config, Error, FilterAnswer, FilterInstance};

/// A class named `F` whose callbacks a test writes, with an instance a stream.
const CLASS: &str = r#"
    F = { id = "test", flags = filter.FLT_CFG_FL_HTX }
    F.__index = F
    function F:new() return setmetatable({ seen = 0, args = self.args }, F) end
    core.register_filter("f", F, function(class, args) class.args = args return class end)
"#;

fn bench(script: &str) -> Bench {
    Bench::new(&Config::default(), &format!("{CLASS}{script}"))
}

fn open(bench: &Bench) -> FilterInstance {
    bench.runtime.declare_filter(0, "f", &[b"one", b"two"]).expect("the filter is declared");
    bench.runtime.open_filter(0).expect("new works").expect("and gives an instance")
}

fn call(
    bench: &Bench,
    filter: &FilterInstance,
    callback: Callback,
    side: Side,
    txn: Box<MemoryTxn>,
) -> (Box<MemoryTxn>, Result<FilterAnswer, Error>) {
    let (txn, answer) = filter.call(callback, side, txn, bench.now());
    let any: Box<dyn std::any::Any> = txn;
    (any.downcast().expect("it is this type"), answer)
}

/// Runs `body` as `http_payload` on that payload of a response; what it logged, left and forwarded.
fn on_payload(body: &str, payload: &[u8], ended: bool) -> (Vec<String>, String, String) {
    let bench = bench(&format!("function F:http_payload(txn, m) {body} end"));
    let filter = open(&bench);
    let mut txn = get().into_response(200, &[("content-length", "3")]);
    txn.show_payload(Response, payload, ended);
    let (txn, answer) = call(&bench, &filter, Callback::HttpPayload, Response, txn);
    let mut lines = bench.core.take_log();
    lines.extend(answer.err().map(|error| error.to_string()));
    let (left, gone, _) = txn.payload(Response);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (lines, text(left), text(gone))
}

#[test]
fn each_stream_has_its_own_instance_of_a_copied_class() {
    let bench = bench(
        r#"function F:start_analyze(txn, chn)
             self.seen = self.seen + 1
             core.Info(tostring(F.args) .. " " .. self.args[1] .. "/" .. self.args[2] .. "/" .. #self.args .. " " ..
               self.seen .. " " .. tostring(chn:is_resp()) .. " " .. tostring(txn) .. " " .. tostring(chn))
           end"#,
    );
    let (first, second) = (open(&bench), open(&bench));
    for filter in [&first, &first, &second] {
        let (_, answer) = call(&bench, filter, Callback::StartAnalyze, Response, get());
        assert_eq!(answer.unwrap(), FilterAnswer::default());
    }
    let line = |n| format!("info: nil one/two/2 {n} true HAProxy class TXN HAProxy class Channel");
    assert_eq!(bench.core.take_log(), [line(1), line(2), line(1)]);
    assert!(first.has(Callback::StartAnalyze) && !first.has(Callback::HttpEnd));
    assert!(bench.runtime.filter_knows_http(0));
    assert_eq!(bench.runtime.registry().filters, ["f"]);
}

#[test]
fn answers_are_numbers_as_lua_reads_them() {
    let cases = [
        ("", None),
        ("return nil", Some(0)),
        ("return filter.CONTINUE", Some(1)),
        ("return filter.WAIT", Some(0)),
        ("return filter.ERROR", Some(-1)),
        ("return '7'", Some(7)),
        ("return {}", Some(0)),
    ];
    for (body, code) in cases {
        let bench = bench(&format!("function F:http_headers(txn, m) {body} end"));
        let (_, answer) = call(&bench, &open(&bench), Callback::HttpHeaders, Request, get());
        assert_eq!(answer.unwrap().code, code, "{body}");
    }
}

#[test]
fn a_callback_says_when_to_wake_it_and_whether_it_filters_payload() {
    let bench = bench(
        r#"function F:start_analyze(txn, chn)
             filter.register_data_filter(self, chn)
             filter.wake_time(150)
           end
           function F:end_analyze(txn, chn)
             filter.unregister_data_filter(self, chn)
             core.Info(select(2, pcall(filter.register_data_filter, {}, chn)))
             core.Info(select(2, pcall(filter.register_data_filter, chn)))
             core.Info(select(2, pcall(filter.wake_time, filter, 1)))
           end"#,
    );
    let filter = open(&bench);
    let (_, answer) = call(&bench, &filter, Callback::StartAnalyze, Response, get());
    let answer = answer.unwrap();
    assert_eq!(answer.data, [None, Some(true)]);
    assert_eq!(answer.wake_after, Some(std::time::Duration::from_millis(150)));
    let (_, answer) = call(&bench, &filter, Callback::EndAnalyze, Request, get());
    assert_eq!(answer.unwrap().data, [Some(false), None]);
    assert_eq!(
        bench.core.take_log(),
        [
            "info: bad argument #1 to '?' (the filter that this callback belongs to is expected)",
            "info: 'register_data_filter' needs 2 arguments",
            "info: 'wake_time' needs 1 arguments",
        ]
    );
}

#[test]
fn what_the_line_s_function_and_new_return_decides_whether_there_is_a_filter() {
    let declare = |function: &str, new: &str| {
        let script = format!(
            "local G = {{ new = function(self) {new} end }}
             core.register_filter('g', G, function(class) {function} end)"
        );
        let bench = Bench::new(&Config::default(), &script);
        bench.runtime.declare_filter(3, "g", &[])?;
        bench.runtime.open_filter(3).map(|instance| instance.is_some())
    };
    assert_eq!(declare("return class", "return {}"), Ok(true));
    assert_eq!(declare("", "return {}"), Ok(true));
    assert_eq!(declare("return nil", "return {}"), Ok(false));
    assert_eq!(declare("return { new = function() return {} end }", "return nil"), Ok(true));
    assert_eq!(declare("return class", ""), Ok(false));
    assert_eq!(declare("return class", "return 7"), Ok(false));
    assert_eq!(declare("class.new = nil return class", ""), Ok(false));
    let text = |result: Result<bool, Error>| result.unwrap_err().to_string();
    assert!(text(declare("error('boom')", "")).starts_with("Lua filter 'g' : [state-id 1] runtime error: "));
    assert!(text(declare("return class", "error('boom')")).contains("boom"));
    assert!(
        text(declare("return class", "core.yield() core.sleep(1)"))
            .contains("a filter's callback cannot wait")
    );
}

#[test]
fn a_callback_that_waits_is_told_what_to_do_instead() {
    let bench = bench("function F:http_end(txn, m) core.msleep(1) end");
    let (_, answer) = call(&bench, &open(&bench), Callback::HttpEnd, Request, get());
    assert_eq!(
        answer.unwrap_err().to_string(),
        "Lua filter 'f' : yield not allowed. ('msleep' waits, and a filter's callback cannot wait: return filter.WAIT and say with filter.wake_time when to call it again)"
    );
}

#[test]
fn a_message_gives_its_head_and_takes_changes_until_it_is_gone() {
    let bench = bench(
        r#"function F:http_headers(txn, m)
             local line = m:get_stline()
             core.Info(line.method .. " " .. line.uri .. " " .. line.version)
             m:add_header("x-new", "1")
             m:set_header("x-a", "only")
             m:del_header("host")
             local all = m:get_headers()
             core.Info(all["x-new"][0] .. " " .. all["x-a"][0] .. " " .. tostring(all["x-a"][1]) .. " " .. tostring(all.host))
             core.Info(tostring(m:set_method("PUT")) .. tostring(m:set_path("/other")) .. tostring(m:set_query("q=2")))
             core.Info(m:get_stline().method .. " " .. m:get_stline().uri)
             core.Info(tostring(m:set_body_len("chunked")) .. m:get_headers()["transfer-encoding"][0])
             core.Info(tostring(m:set_body_len(12)) .. m:get_headers()["content-length"][0])
             core.Info(select(2, pcall(m.set_body_len, m, -1)))
             core.Info(select(2, pcall(m.set_body_len, m, "x")))
             core.Info(select(2, pcall(m.set_status, m, 200)))
             core.Info(select(2, pcall(m.add_header, m, "x", "a\r\nb")))
             core.Info(select(2, pcall(m.body, m)))
             core.Info(tostring(m) .. " " .. tostring(m.channel) .. " " .. tostring(m:is_resp()) .. " " ..
               tostring(txn.http_req.channel:is_resp()) .. " " .. tostring(txn.http_res:is_resp()))
             core.Info(select(2, pcall(m.channel.data, m.channel)))
           end
           function F:http_end(txn, m)
             core.Info(select(2, pcall(m.add_header, m, "a", "b")))
             core.Info(select(2, pcall(m.get_headers, m)))
           end"#,
    );
    let filter = open(&bench);
    let (mut txn, answer) = call(&bench, &filter, Callback::HttpHeaders, Request, get());
    answer.unwrap();
    txn.heads_gone[0] = true;
    call(&bench, &filter, Callback::HttpEnd, Request, txn).1.unwrap();
    insta::assert_snapshot!(bench.core.take_log().join("\n"));
}

#[test]
fn a_response_s_status_can_be_changed_and_its_request_line_not() {
    let bench = bench(
        r#"function F:http_headers(txn, m)
             local line = m:get_stline()
             core.Info(line.version .. " " .. line.code)
             m:set_status(404)
             core.Info(m:get_stline().code)
             core.Info(select(2, pcall(m.set_uri, m, "/")))
           end"#,
    );
    let txn = get().into_response(200, &[]);
    let (txn, answer) = call(&bench, &open(&bench), Callback::HttpHeaders, Response, txn);
    answer.unwrap();
    assert_eq!(txn.status.0, 404);
    assert_eq!(
        bench.core.take_log(),
        ["info: HTTP/1.1 200", "info: 404", "info: 'set_uri' works on requests, this is a response"]
    );
}

#[test]
fn payload_is_read_by_offset_and_length() {
    let (lines, left, _) = on_payload(
        r#"core.Info(m:body() .. " " .. m:body(2) .. " " .. m:body(2, 3) .. " " .. m:body(-3) .. " " .. m:body(-3, 1))
           core.Info(m:body(0, 100) .. " " .. m:body(-100) .. " " .. m:body(0, -1) .. " " .. m:input())
           core.Info(select(2, pcall(m.body, m, 100)))
           core.Info(select(2, pcall(m.body, m, 0, -2)))
           core.Info(select(2, pcall(m.body, m, 0, 1, 2)))
           core.Info(tostring(m:eom()) .. tostring(m:may_recv()) .. tostring(m:is_full()))"#,
        b"abcdef",
        false,
    );
    assert_eq!(
        lines,
        [
            "info: abcdef cdef cde def d",
            "info: abcdef abcdef abcdef 6",
            "info: offset out of range.",
            "info: length out of range.",
            "info: 'data' expects at most 2 arguments",
            "info: falsetruefalse",
        ]
    );
    assert_eq!(left, "abcdef");
}

#[test]
fn payload_can_be_changed_sent_and_forwarded() {
    let (lines, left, gone) = on_payload(
        r#"core.Info(m:prepend("<<") .. " " .. m:append(">>") .. " " .. m:insert("-", 3) .. " " .. m:insert("+", -2))
           core.Info(m:body())
           core.Info(m:set("X", 0, 2) .. " " .. m:remove(-2) .. " " .. m:body())
           core.Info(m:send("SEND") .. " " .. m:forward(1) .. " " .. m:forward(0) .. " " .. m:body())
           core.Info(m:insert(("x"):rep(20000)) .. " " .. m:append(""))
           core.Info(select(2, pcall(m.insert, m, "x", 100)))
           core.Info(select(2, pcall(m.remove, m, 0, 100)))
           core.Info(select(2, pcall(m.insert, m)))
           core.Info(m:remove(0, -1) .. " " .. tostring(m:body()))
           m:set_eom()
           core.Info(tostring(m:eom()) .. " " .. tostring(m:body()))
           m:unset_eom()
           core.Info(tostring(m:eom()))"#,
        b"abc",
        false,
    );
    assert_eq!(
        lines,
        [
            "info: 2 2 1 1",
            "info: <<a-bc+>>",
            "info: 1 2 Xa-bc+",
            "info: 4 1 0 a-bc+",
            "info: -1 0",
            "info: offset out of range.",
            "info: length out of range.",
            "info: 'insert' expects at least 1 argument and at most 2 arguments",
            "info: 5 ",
            "info: true nil",
            "info: false",
        ]
    );
    assert_eq!((left.as_str(), gone.as_str()), ("", "SENDX"));
}

#[test]
fn raw_bytes_are_a_channel_s() {
    let bench = bench(
        r#"function F:tcp_payload(txn, chn)
             core.Info(chn:data() .. " " .. chn:line() .. " " .. tostring(txn.http) .. " " .. tostring(txn.http_req))
             chn:set(chn:data():upper())
             chn:send("first,")
             return chn:input()
           end"#,
    );
    let mut txn = MemoryTxn::tcp(b"");
    txn.show_payload(Request, b"one\ntwo", false);
    let (txn, answer) = call(&bench, &open(&bench), Callback::TcpPayload, Request, txn);
    assert_eq!(answer.unwrap().code, Some(7));
    assert_eq!(bench.core.take_log(), ["info: one\ntwo one\n nil nil".replace('\n', ".")]);
    assert_eq!(txn.payload(Request), (&b"ONE\nTWO"[..], &b"first,"[..], true));
}

#[test]
fn objects_kept_from_a_callback_are_dead_in_the_next() {
    let bench = bench(
        r#"local kept
           function F:http_payload(txn, m)
             core.Info(kept and tostring(select(2, pcall(kept.body, kept))) or "first")
             kept = m
           end"#,
    );
    let filter = open(&bench);
    let mut txn = get();
    for _ in 0..2 {
        txn.show_payload(Request, b"x", true);
        let (back, answer) = call(&bench, &filter, Callback::HttpPayload, Request, txn);
        answer.unwrap();
        txn = back;
    }
    let lines = bench.core.take_log();
    assert_eq!(lines[0], "info: first");
    assert!(lines[1].contains("belongs to a call that is over"), "{lines:?}");
}

#[test]
fn instances_that_are_dropped_let_their_objects_go() {
    let bench = bench(
        r#"local made, gone = 0, 0
           function F:new()
             made = made + 1
             return setmetatable({}, { __index = F, __gc = function() gone = gone + 1 end })
           end
           core.register_fetches("gone", function() collectgarbage() collectgarbage() return made .. "/" .. gone end)"#,
    );
    for _ in 0..3 {
        drop(open(&bench));
    }
    let text = bench.fetch("gone", get(), &[]).unwrap().unwrap();
    assert_eq!(text, hlua::Value::from("3/3"));
}
