//! What scripts use to talk to others: sockets by name, dropped sockets, the HTTP client.

use hlua::host::{HttpResponse, ProxyMailers, Target};
use hlua::{Config, Lent};

use crate::bench::{ACTION, Bench, get};

fn bench(script: &str) -> Bench {
    Bench::new(&Config::default(), script)
}

#[test]
fn sockets_connect_by_name_and_raise_where_a_name_leads_nowhere() {
    let bench = bench("");
    bench.core.sockets.add(([10, 0, 0, 1], 80).into(), &["hello\n"]);
    bench.core.sockets.name("db.internal", [10, 0, 0, 1].into());
    let lines = bench.probe(
        r#"local s = core.tcp()
           core.Info(tostring(s:connect("db.internal", 80)) .. " " .. s:getpeername())
           s:send("x") core.Info(s:receive())
           core.Info(tostring(select(2, pcall(s.connect, s, "nosuch.internal", 80))))
           core.Info(tostring(select(2, pcall(s.connect, s, "db.internal"))))
           core.Info(tostring(select(2, core.tcp():connect("10.0.0.2", 80))))"#,
    );
    assert_eq!(lines[..2], ["info: 1 10.0.0.1:80", "info: hello"]);
    assert!(lines[2].ends_with("connect: cannot parse destination address 'nosuch.internal'"), "{lines:?}");
    assert!(lines[3].ends_with("connect: port missing"), "{lines:?}");
    assert_eq!(lines[4], "info: Can't connect");
}

#[test]
fn sockets_that_scripts_drop_are_closed_soon() {
    let bench = bench(
        r#"ballast = {} for i = 1, 10000 do ballast[i] = {} end
           core.register_action("open", {"http-req"}, function(txn) core.tcp():connect("10.0.0.1", 80) end)
           core.register_action("keep", {"http-req"}, function(txn) kept = core.tcp() kept:connect("10.0.0.1", 80) end)"#,
    );
    bench.core.sockets.add(([10, 0, 0, 1], 80).into(), &["hello"]);
    bench.runtime.start_tasks().unwrap();
    bench.action("keep", get()).1.unwrap();
    for _ in 0..100 {
        bench.action("open", get()).1.unwrap();
        assert!(bench.core.sockets.open() <= 40, "dropped sockets pile up");
    }
    // The last ones are found by the clock.
    for _ in 0..3 {
        bench.core.advance(std::time::Duration::from_millis(50));
        bench.core.run_tasks();
    }
    assert_eq!(bench.core.sockets.open(), 1, "only the kept one is left");
}

#[test]
fn a_request_has_what_the_table_says_and_gives_the_whole_response() {
    let bench = bench("");
    let line = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let headers = vec![line("Set-Cookie", "a"), line("set-cookie", "b"), line("X", "1")];
    let response = HttpResponse { status: 201, reason: b"Made".to_vec(), headers, body: b"done".to_vec() };
    bench.core.http.answer("http://a/", response);
    let lines = bench.probe(
        r#"local c = core.httpclient()
           local r = c:post{url = "http://a/", body = "in", dst = "10.0.0.1:81", timeout = 250, headers = {["X-A"] = {"1", "2"}}}
           core.Info(r.status .. r.reason .. r.body .. r.headers["set-cookie"][0] .. r.headers["set-cookie"][1] .. r.headers.x[0])
           core.Info(tostring(select(2, pcall(c.get, c, {url = "http://a/"}))))
           core.Info(tostring(core.httpclient():get{url = "http://b/", headers = {one = "x"}}.status))
           for _, request in ipairs{{}, {url = 1}, {url = "http://a/", body = {}}, {url = "x", more = 1}, {url = "x", dst = "a b"}} do
             core.Info(tostring(select(2, pcall(core.httpclient().put, core.httpclient(), request))))
           end"#,
    );
    let requests = bench.core.http.take_requests();
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].headers, [line("X-A", "1"), line("X-A", "2")]);
    assert_eq!(requests[0].dst, Some(Target::Ip(([10, 0, 0, 1], 81).into())));
    assert_eq!(requests[0].timeout, Some(std::time::Duration::from_millis(250)));
    assert_eq!(requests[1].headers, [line("one", "x")]);
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_fetch_cannot_send_a_request() {
    let bench = bench(
        r#"core.register_fetches("f", function() return core.httpclient():get{url = "http://a/"}.body end)"#,
    );
    let error = bench.fetch("f", get(), &[]).unwrap_err().to_string();
    assert!(error.contains("'get' waits, and a sample fetch cannot wait"), "{error}");
    assert_eq!(bench.core.http.take_requests(), [], "nothing was sent");
}

#[test]
fn a_request_that_is_given_up_leaves_nothing_behind() {
    let bench = bench(
        r#"core.register_action("a", {"http-req"}, function() core.httpclient():get{url = "http://a/"} end)"#,
    );
    let site = bench.runtime.call_site(&ACTION, "a", &[]).unwrap();
    drop(bench.runtime.start(site));
    let (_, result) = bench.core.block_on(&mut bench.runtime.start(site), Lent::Txn(get()));
    result.unwrap();
}

#[test]
fn mailers_are_a_table_where_there_are_some_and_nothing_elsewhere() {
    let bench = bench("core.use_native_mailers_config() core.disable_legacy_mailers()");
    bench.core.proxies.add("be", (false, true), &[]);
    bench.core.proxies.add("other", (false, true), &[]);
    let mailers = ProxyMailers {
        track_server_health: true,
        log_level: 1,
        mailservers: vec![("smtp1".into(), "10.0.0.1:25".into())],
        mailservers_timeout: 10_000,
        smtp_hostname: None,
        smtp_from: Some("from@x".into()),
        smtp_to: Some("to@x".into()),
    };
    bench.core.proxies.set_mailers("be", mailers);
    let lines = bench.probe(
        r#"local m = core.backends.be:get_mailers()
           core.Info(tostring(m.track_server_health) .. " " .. m.log_level .. " " .. m.mailservers.smtp1 .. " " .. m.mailservers_timeout
             .. " " .. tostring(m.smtp_hostname) .. " " .. m.smtp_from .. " " .. m.smtp_to)
           core.Info(tostring(select('#', core.backends.other:get_mailers())))"#,
    );
    assert_eq!(lines, ["info: true 1 10.0.0.1:25 10000 nil from@x to@x", "info: 0"]);
}

#[test]
fn certificates_are_set_by_the_file_they_came_from() {
    let bench = bench("");
    bench.core.certificates.add("site.pem");
    let lines = bench.probe(
        r#"CertCache.set{filename = "site.pem", crt = "CRT", key = "KEY", ocsp = "aGk=", issuer = "I"}
           for _, request in ipairs{{crt = "x"}, {filename = "other.pem"}, {filename = "site.pem", sctl = "x"},
             {filename = "site.pem", ocsp = "?"}, {filename = {}}, "x"} do
             core.Info(tostring(select(2, pcall(CertCache.set, request))))
           end"#,
    );
    let set = bench.core.certificates.updated("site.pem").unwrap();
    assert_eq!(
        (set.certificate, set.key, set.ocsp),
        (Some(b"CRT".to_vec()), Some(b"KEY".to_vec()), Some(b"hi".to_vec()))
    );
    insta::assert_snapshot!(lines.join("\n"));
}
