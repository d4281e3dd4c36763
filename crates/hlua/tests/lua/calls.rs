//! What each kind of registered function gets, may do and gives.

use crate::bench::{ACTION, Bench, HTTP, TCP, contexts, downcast, get};
use hlua::host::memory::{MemoryAppletHttp, MemoryAppletTcp, MemoryTxn, MemoryWishes};
use hlua::host::{Level, Reply};
use hlua::{Config, Error, FunctionInfo, FunctionKind, Lent, Value};

fn bench(script: &str) -> Bench {
    Bench::new(&Config::default(), script)
}

#[test]
fn an_action_reads_a_header_sets_a_variable_and_a_header() {
    let bench = bench(
        r#"core.register_action("a", {"http-req"}, function(txn)
             local host = txn.sf:req_hdr("host")
             txn:set_var("txn.host", host)
             txn.http:req_set_header("x-host", host .. "!")
           end)"#,
    );
    for _ in 0..3 {
        let (txn, result) = bench.action("a", get());
        assert_eq!(result.unwrap().action_code(), 0);
        assert_eq!(txn.stream.variables[b"txn.host".as_slice()], Value::from("example.com"));
        assert_eq!(txn.request_header("x-host").unwrap(), "example.com!");
    }
}

/// What a function touched in an HTTP stream is not there in a TCP stream that has none of it.
#[test]
fn members_touched_before_are_those_that_the_next_stream_has() {
    let bench = bench(
        r#"core.register_action("a", {"http-req", "tcp-req"}, function(txn)
             local http = txn.http
             txn:set_var("txn.r", type(http) .. " " .. type(txn.sf) .. " " .. tostring(txn.req))
             if http then http:req_set_header("x-a", "b") end
           end)"#,
    );
    let kinds = [
        (get(), "table"),
        (MemoryTxn::tcp(b"bytes"), "nil"),
        (get(), "table"),
        (MemoryTxn::tcp(b"bytes"), "nil"),
    ];
    for (txn, http) in kinds {
        let (txn, result) = bench.action("a", txn);
        result.unwrap();
        let expected = format!("{http} table HAProxy class Channel");
        assert_eq!(txn.stream.variables[b"txn.r".as_slice()], Value::from(expected.as_str()));
    }
}

#[test]
fn a_members_direction_is_that_of_its_field_in_every_run() {
    let bench = bench(
        r#"core.register_action("a", {"http-req"}, function(txn)
             txn:set_var("txn.r", tostring(txn.req:is_resp()) .. " " .. tostring(txn.res:is_resp()))
           end)"#,
    );
    for _ in 0..3 {
        let (txn, result) = bench.action("a", get());
        result.unwrap();
        assert_eq!(txn.stream.variables[b"txn.r".as_slice()], Value::from("false true"));
    }
}

#[test]
fn objects_of_a_run_that_is_over_are_refused_by_the_next() {
    let bench = bench(
        r#"local kept, http
           core.register_action("keep", {"http-req"}, function(txn)
             kept, http = txn, txn.http
           end)
           core.register_action("use", {"http-req"}, function(txn)
             assert(not pcall(function() kept:set_var("txn.r", "x") end))
             assert(not pcall(txn.set_var, kept, "txn.r", "x"))
             assert(not pcall(txn.set_var, {}, "txn.r", "x"))
             assert(not pcall(http.req_set_header, http, "x-a", "b"))
           end)"#,
    );
    for _ in 0..2 {
        bench.action("keep", get()).1.unwrap();
        let (txn, result) = bench.action("use", get());
        result.unwrap();
        assert!(txn.stream.variables.is_empty());
    }
}

#[test]
fn members_serve_a_run_that_goes_on_after_it_waited() {
    let bench = bench(
        r#"core.register_action("a", {"http-req"}, function(txn)
             local http = txn.http
             core.msleep(1)
             http:req_set_header("x-a", txn.sf:req_hdr("host"))
           end)"#,
    );
    for _ in 0..3 {
        let (txn, result) = bench.action("a", get());
        result.unwrap();
        assert_eq!(txn.request_header("x-a").unwrap(), "example.com");
    }
}

#[test]
fn an_action_answers_with_its_code() {
    let bench = bench(r#"core.register_action("deny", {"http-req"}, function(txn) return act.DENY end)"#);
    assert_eq!(bench.action("deny", get()).1.unwrap().action_code(), 5);
}

#[test]
fn rule_arguments_follow_the_txn() {
    let bench = bench(
        r#"core.register_action("a", {"http-req"}, function(txn, x, y) txn:set_var("txn.r", x .. y) end, 2)"#,
    );
    let site = bench.runtime.call_site(&ACTION, "a", &[b"one", b"two"]).unwrap();
    let (lent, result) = bench.core.block_on(&mut bench.runtime.start(site), Lent::Txn(get()));
    result.unwrap();
    let txn: Box<MemoryTxn> = downcast(lent);
    assert_eq!(txn.stream.variables[b"txn.r".as_slice()], Value::from("onetwo"));
}

#[test]
fn the_registry_tells_what_the_configuration_must_know() {
    let bench = bench(
        r#"core.register_action("a", {"http-req"}, function() end, 2)
           core.register_fetches("f", function() end)
           core.register_converters("c", function() end)
           core.register_service("s", "http", function() end)
           core.register_action("a", {"http-req"}, function() end, 3)"#,
    );
    let info = |kind, name: &str| FunctionInfo { kind, name: name.into() };
    assert_eq!(
        bench.runtime.registry().functions,
        [
            info(FunctionKind::Action { contexts: contexts(), nb_args: 3 }, "a"),
            info(FunctionKind::Fetch, "f"),
            info(FunctionKind::Converter, "c"),
            info(HTTP, "s"),
        ]
    );
    assert!(bench.core.take_log()[0].contains("more than once"));
    assert!(matches!(bench.runtime.call_site(&HTTP, "a", &[]), Err(Error::Unknown { .. })));
}

/// The idea of `lua.txt`'s first example: a salted hash over parts of the request.
#[test]
fn my_hash_hashes_salt_host_path_and_source() {
    let bench = bench(
        r#"core.register_fetches("my-hash", function(txn, salt)
             local parts = { salt, txn.sf:req_fhdr("host"), txn.sf:path(), txn.sf:src() }
             return txn.sc:sdbm(table.concat(parts), 1)
           end)"#,
    );
    let sdbm = "saltexample.com/path127.0.0.1".bytes().fold(0u32, |hash, byte| {
        u32::from(byte).wrapping_add(hash << 6).wrapping_add(hash << 16).wrapping_sub(hash)
    });
    let value = bench.fetch("my-hash", get(), &["salt"]).unwrap();
    assert_eq!(value, Some(Value::from(sdbm.to_string().as_str())));
}

#[test]
fn results_become_samples_by_the_type_table() {
    let cases = [
        ("'text'", Some(Value::from("text"))),
        ("42", Some(Value::Int(42))),
        ("1.5", Some(Value::Int(0))),
        ("true", Some(Value::Bool(true))),
        ("{}", Some(Value::Bool(false))),
        ("nil", Some(Value::Bool(false))),
        ("", None),
    ];
    for (result, expected) in cases {
        let bench = bench(&format!("core.register_fetches('f', function() return {result} end)"));
        assert_eq!(bench.fetch("f", get(), &[]).unwrap(), expected, "return {result}");
    }
}

#[test]
fn a_converter_gets_text_and_arguments() {
    let bench = bench("core.register_converters('c', function(v) return type(v) .. ':' .. v end)");
    assert_eq!(bench.convert("c", "x").unwrap(), Some(Value::from("string:x")));
}

#[test]
fn typed_fetches_give_nil_and_string_fetches_the_empty_string() {
    let bench = bench("");
    let lines = bench.probe(
        r#"core.Info(tostring(txn.f:req_hdr("none")) .. "|" .. txn.sf:req_hdr("none") .. "|" ..
             tostring(txn.f:ssl_fc()) .. "|" .. type(txn.f:date()) .. "|" .. type(txn.sf:date()) .. "|" .. txn.f:src())"#,
    );
    assert_eq!(lines, ["info: nil||0|number|string|127.0.0.1"]);
}

#[test]
fn booleans_are_booleans_when_the_configuration_says_so() {
    let config = Config { bool_samples: hlua::BoolSamples::Normal, ..Config::default() };
    let bench = Bench::new(&config, "");
    assert_eq!(bench.probe("core.Info(tostring(txn.f:ssl_fc()))"), ["info: false"]);
}

#[test]
fn private_data_is_shared_by_the_functions_of_one_stream() {
    let bench = bench(
        r#"core.register_action("set", {"http-req"}, function(txn) txn:set_priv({n = 1}) end)
           core.register_action("add", {"http-req"}, function(txn) local p = txn:get_priv(); p.n = p.n + 1 end)
           core.register_fetches("get", function(txn) local p = txn:get_priv(); return p and p.n or "none" end)"#,
    );
    let (txn, _) = bench.action("set", get());
    let (txn, result) = bench.action("add", txn);
    result.unwrap();
    assert_eq!(bench.fetch("get", txn, &[]).unwrap(), Some(Value::Int(2)));
    assert_eq!(bench.fetch("get", get(), &[]).unwrap(), Some(Value::from("none")));
}

#[test]
fn txn_done_with_a_reply_hands_it_to_the_host_and_ends_the_script() {
    let bench = bench(
        r#"core.register_action("a", {"http-req"}, function(txn)
             local reply = txn:reply{status = 403}
             reply:add_header("x-why", "a")
             reply:add_header("x-why", "b")
             reply:set_body("no")
             txn:done(reply)
             core.Alert("not reached")
           end)"#,
    );
    let (txn, result) = bench.action("a", get());
    assert!(result.unwrap().done);
    let header = |value: &str| (b"x-why".to_vec(), value.as_bytes().to_vec());
    let expected = Reply {
        status: 403,
        reason: Some(b"Forbidden".to_vec()),
        headers: vec![header("a"), header("b")],
        body: b"no".to_vec(),
    };
    assert_eq!(txn.reply, Some(Some(expected)));
    assert!(bench.core.take_log().is_empty());
}

#[test]
fn headers_come_lower_case_and_zero_based() {
    let bench = bench("");
    let lines = bench.probe(
        r#"local h = txn.http:req_get_headers()
           core.Info(h["host"][0] .. " " .. h["x-a"][0] .. h["x-a"][1] .. " " .. tostring(h["X-A"]))"#,
    );
    assert_eq!(lines, ["info: example.com 12 nil"]);
}

#[test]
fn the_request_line_can_be_changed() {
    let bench = bench(
        r#"core.register_action("a", {"http-req"}, function(txn)
             txn.http:req_set_method("POST")
             txn.http:req_set_path("/new")
             txn.http:req_set_query("z=2")
           end)"#,
    );
    let (txn, result) = bench.action("a", get());
    result.unwrap();
    assert_eq!((&*txn.stream.method, &*txn.stream.uri), (&b"POST"[..], &b"/new?z=2"[..]));
}

#[test]
fn response_rules_reach_the_response_only() {
    let bench = bench(
        r#"core.register_action("a", {"http-res"}, function(txn)
             txn.http:res_set_status(418, "Teapot")
             txn.http:res_add_header("x", "y")
             local ok, message = pcall(function() txn.http:req_add_header("x", "y") end)
             txn:Info(message)
           end)"#,
    );
    let (txn, result) = bench.action("a", get().into_response(200, &[]));
    result.unwrap();
    assert_eq!(txn.status, (418, b"Teapot".to_vec()));
    assert_eq!(txn.stream.log[0].0, Level::Info);
    assert!(txn.stream.log[0].1.contains("this message is not there"));
}

#[test]
fn channels_of_a_tcp_stream_can_be_rewritten() {
    let bench = bench(
        r#"core.register_action("a", {"tcp-req"}, function(txn)
             assert(txn.http == nil)
             local line = txn.req:line()
             txn.req:remove(0, #line)
             txn.req:prepend("<" .. line:sub(1, -2) .. ">\n")
             txn.req:append("tail")
             assert(txn.req:insert("+", -1) == 1)
             txn.req:forward(3)
           end)"#,
    );
    let (txn, result) = bench.action("a", MemoryTxn::tcp(b"one\ntwo\n"));
    result.unwrap();
    assert_eq!(txn.channel_bytes(), (&b"e>\ntwo\ntai+l"[..], &b"<on"[..]));
}

#[test]
fn hello_world_service() {
    let bench = bench(
        r#"core.register_service("hello", "http", function(applet)
             local response = "Hello " .. applet.path .. "?" .. applet.qs .. " " .. applet.headers["host"][0]
             applet:set_status(200)
             applet:add_header("content-length", string.len(response))
             applet:add_header("content-type", "text/plain")
             applet:start_response()
             applet:send(response)
           end)"#,
    );
    let applet = MemoryAppletHttp::new("GET", "/world?x", &[("Host", "h")], &[]);
    let (applet, result) = bench.service::<MemoryAppletHttp>(&HTTP, "hello", Lent::AppletHttp(applet));
    result.unwrap();
    assert_eq!(applet.body(), b"Hello /world?x h");
    assert_eq!(applet.status.0, 200);
    assert_eq!(applet.response_headers[0], (b"content-length".to_vec(), b"16".to_vec()));
    assert!(applet.started);
}

#[test]
fn a_service_reads_a_body_that_comes_in_pieces_and_sends_through_a_window() {
    let bench = bench(
        r#"core.register_service("echo", "http", function(applet)
             applet:start_response()
             local line, some, rest = applet:getline(), applet:receive(4), applet:receive()
             applet:send(line .. "|" .. some .. "|" .. rest .. "|" .. #applet:receive())
           end)"#,
    );
    let pieces = ["fi", "", "rst\nse", "", "cond", " and third"];
    let applet = MemoryAppletHttp::new("POST", "/", &[], &pieces).with_window(3);
    let (applet, result) = bench.service::<MemoryAppletHttp>(&HTTP, "echo", Lent::AppletHttp(applet));
    result.unwrap();
    assert_eq!(String::from_utf8_lossy(applet.body()), "first\n|seco|nd and third|0");
}

#[test]
fn a_tcp_service_talks_line_by_line() {
    let bench = bench(
        r#"core.register_service("upper", "tcp", function(applet)
             while true do
               local line = applet:getline()
               if line == "" then break end
               applet:send(applet.sc:upper(line))
             end
           end)"#,
    );
    let applet = MemoryAppletTcp::new(&["a\nb", "", "c\n", "end"]);
    let (applet, result) = bench.service::<MemoryAppletTcp>(&TCP, "upper", Lent::AppletTcp(applet));
    result.unwrap();
    assert_eq!(applet.sent(), b"A\nBC\nEND");
}

#[test]
fn core_tools() {
    let bench = bench("");
    let lines = bench.probe(
        r#"local c = core.concat(); c:add("a"); c:add(1); c:add("b")
           local n = core.now()
           core.Info(c:dump() .. " " .. table.concat(core.tokenize("a,b;;c", ",;"), "/") .. " " ..
             #core.tokenize("a,,b", ",", true) .. " " .. n.sec .. " " .. core.get_info().Name .. " " ..
             tostring(core.get_var("proc.answer")) .. " " .. core.thread .. " " .. core.warning)
           core.Info(tostring(core.match_addr(core.parse_addr("10.1.2.3"), core.parse_addr("10.0.0.0/8"))))"#,
    );
    assert_eq!(lines, ["info: a1b a/b//c 2 1700000000 memory 42 1 4", "info: true"]);
}

#[test]
fn objects_are_tables_with_class_names() {
    let bench = bench("");
    let lines = bench.probe(
        r#"core.Info(type(txn) .. ", " .. tostring(txn) .. ", " .. tostring(txn.f) .. ", " .. tostring(txn.sc) ..
             ", " .. tostring(txn.req) .. ", " .. tostring(txn.http) .. ", " .. tostring(core.tcp()) .. ", " ..
             tostring(txn.f == txn.f) .. ", " .. tostring(txn.nothing))
           txn.mine = 1
           core.Info(tostring(txn.mine))"#,
    );
    assert_eq!(
        lines,
        [
            "info: table, HAProxy class TXN, HAProxy class Fetches, HAProxy class Converters, HAProxy class Channel, HAProxy class HTTP, HAProxy class Socket, true, nil",
            "info: 1"
        ]
    );
}

#[test]
fn a_script_may_be_loaded_with_arguments_and_a_shebang() {
    let bench = Bench::empty(&Config::default());
    let args = ["a".to_string(), "b".to_string()];
    let script = b"#!/usr/bin/lua\nlocal x, y = ... core.Info(x .. y)";
    bench.runtime.load_source("s.lua", script, &args).unwrap();
    assert_eq!(bench.core.take_log(), ["info: ab"]);
}

#[test]
fn proxies_and_servers() {
    let bench = bench(
        r#"core.register_init(function()
             local s = core.backends["be"].servers["s1"]
             saved = s
             core.Info(s:get_name() .. " " .. s:get_addr() .. " " .. s:get_puid() .. " " .. s:get_proxy():get_name())
           end)"#,
    );
    bench.core.proxies.add("fe", (true, false), &[]);
    bench.core.proxies.add("be", (false, true), &[("s1", "127.0.0.1:80"), ("s2", "127.0.0.1:81")]);
    bench.runtime.run_init().unwrap();
    assert_eq!(bench.core.take_log(), ["info: s1 127.0.0.1:80 1 be"]);

    let lines = bench.probe(
        r#"local names = {}
           for name in pairs(core.backends["be"].servers) do names[#names + 1] = name end
           table.sort(names)
           core.Info(table.concat(names, ",") .. " " .. tostring(core.backends["fe"]) .. " " ..
             core.frontends["fe"]:get_cap() .. " " .. core.proxies["be"]:get_stats().scur)
           core.Info(tostring(saved:set_weight("x")) .. " " .. tostring(saved:set_weight("10")) .. " " .. saved:get_weight())
           saved:set_maint()
           core.backends["be"].servers["new"] = 1
           core.Info(tostring(core.backends["be"].servers["new"]))"#,
    );
    assert_eq!(lines, ["info: s1,s2 nil frontend 3", "info: Malformed weight value. nil 1", "info: nil"]);
    assert_eq!(*bench.core.proxies.commands.borrow(), ["be/s1 Weight(\"10\")", "be/s1 Maint"]);

    bench.core.proxies.remove_servers("be");
    let lines = bench.probe("core.Info(tostring(saved:get_name())) saved:set_drain()");
    assert_eq!(lines, ["info: nil"]);
}

#[test]
fn a_socket_round_trip() {
    let bench = bench("");
    bench.core.sockets.add("127.0.0.1:9000".parse().unwrap(), &["hello\r\nworld", "!bye"]);
    let lines = bench.probe(
        r#"local s = core.tcp()
           s:settimeout(1)
           assert(s:connect("127.0.0.1", 9000) == 1)
           core.Info(s:getpeername() .. " " .. tostring(s:send("hi")) .. " " .. s:receive("*l", ">") .. " " .. s:receive(5))
           s:send("again", 2, 3)
           core.Info(s:receive("*a"))
           core.Info(table.concat({tostring(s:receive()), select(2, s:receive())}, " "))
           s:close() s:close()
           core.Info(tostring(select(2, core.tcp():connect("127.0.0.1", 1))))"#,
    );
    assert_eq!(
        lines,
        [
            "info: 127.0.0.1:9000 2 >hello world",
            "info: !bye",
            "info: nil connection closed.",
            "info: Can't connect"
        ]
    );
}

#[test]
fn a_socket_that_stays_silent_times_out() {
    let bench = bench("");
    bench.core.sockets.add("127.0.0.1:9000".parse().unwrap(), &["never asked for"]);
    let lines = bench.probe(
        r#"local s = core.tcp() s:settimeout(2) s:connect("127.0.0.1", 9000)
           local line, message = s:receive()
           core.Info(tostring(line) .. " " .. message)"#,
    );
    assert_eq!(lines, ["info: nil connection closed."]);
    assert_eq!(bench.core.elapsed().as_secs(), 2);
}

/// A host that says nothing else has the environment of the process.
#[test]
fn environment_variables_come_from_the_host() {
    let bench = Bench::empty(&Config::default());
    bench.load("assert(os.getenv('PATH') and os.getenv('SURELY_NOT_SET') == nil)").unwrap();
    assert!(bench.load("os.getenv()").is_err());
}

#[test]
fn a_cli_command_gets_an_applet_and_the_words_typed() {
    let bench = Bench::new(
        &Config::default(),
        r#"core.register_cli({"show", "x"}, "show x: usage", function(applet, ...)
             applet:send(table.concat({...}, "|") .. ":" .. applet:getline())
           end)"#,
    );
    let registered = bench.runtime.registry().functions.remove(0);
    let words = vec!["show".to_owned(), "x".to_owned()];
    assert_eq!(registered.kind, FunctionKind::Cli { words, usage: "show x: usage".into() });
    let site = bench.runtime.call_site(&registered.kind, &registered.name, &[]).unwrap();
    let mut run = bench.runtime.start_with(site, &[b"show", b"x", b"y"]);
    let (lent, result) = bench.core.block_on(&mut run, Lent::AppletTcp(MemoryAppletTcp::new(&["line\n"])));
    result.unwrap();
    let applet: Box<MemoryAppletTcp> = downcast(lent);
    assert_eq!(applet.sent(), b"show|x|y:line\n");
}

#[test]
fn what_a_script_wants_of_connection_queue_and_scheduler_is_cut_to_what_they_take() {
    for (call, wanted) in [
        ("set_fc_tos(0x20)", MemoryWishes { tos: Some(0x20), ..Default::default() }),
        ("set_tos(8)", MemoryWishes { tos: Some(8), ..Default::default() }),
        ("set_fc_mark(7)", MemoryWishes { mark: Some(7), ..Default::default() }),
        ("set_mark(0xffffffff)", MemoryWishes { mark: Some(u32::MAX), ..Default::default() }),
        ("set_priority_class(-3000)", MemoryWishes { priority_class: Some(-2047), ..Default::default() }),
        ("set_priority_class(5)", MemoryWishes { priority_class: Some(5), ..Default::default() }),
        ("set_priority_offset(9e5)", MemoryWishes { priority_offset: Some(524_287), ..Default::default() }),
        ("set_priority_offset(-250)", MemoryWishes { priority_offset: Some(-250), ..Default::default() }),
        ("set_loglevel(-1)", MemoryWishes { log_level: Some(None), ..Default::default() }),
        ("set_loglevel(3)", MemoryWishes { log_level: Some(Some(Level::Err)), ..Default::default() }),
    ] {
        let bench =
            bench(&format!("core.register_action('a', {{'http-req'}}, function(txn) txn:{call} end)"));
        let (txn, result) = bench.action("a", get());
        result.unwrap();
        assert_eq!(txn.wishes, wanted, "{call}");
    }
    for (nice, kept) in [("5000", 1024), ("-5000", -1024), ("7", 7)] {
        let bench = bench("");
        bench.probe(&format!("core.set_nice({nice})"));
        assert_eq!(bench.core.nice(), kept);
    }
}

#[test]
fn what_is_no_number_is_refused_by_the_name_of_the_call() {
    let bench = bench("");
    for call in ["set_fc_tos", "set_fc_mark", "set_priority_class", "set_priority_offset", "set_loglevel"] {
        let lines = bench.probe(&format!(
            "core.Info(select(2, pcall(txn.{call}, txn))) core.Info(select(2, pcall(txn.{call}, txn, {{}})))"
        ));
        assert!(lines[0].ends_with(&format!("'{call}' needs 2 arguments")), "{lines:?}");
        assert!(
            lines[1].contains(&format!("to '{call}'")) || lines[1].contains("bad argument #2"),
            "{lines:?}"
        );
    }
}
