//! Conditions, actions and their errors.

#[path = "support/txn.rs"]
mod support;

use std::{fmt::Write as _, task::Poll};

use proxy_core::{
    action::Verdict,
    log::Level,
    rules::{RuleRun, RuleSet},
    sample::Sample,
    txn::Txn,
    vars::VarName,
};
use support::{Bench, complaints, response, wire};

const REQUEST: &str = "GET /a/b?x=1&y=2 HTTP/1.1
    Host: Ex.com:80
    Cookie: a=1; b=\"2;3\"; a=3;c
    X-L: a, b ,\"c,d\",,e
    X-IP: 1.2.3.4:80
    X-Num: 42";

/// A frontend with these lines.
fn bench(lines: &str) -> Bench {
    Bench::new(&format!(
        "frontend f\n mode http\n bind 127.0.0.1:23998\n log 127.0.0.1:514 format raw local0\n{lines}\n"
    ))
}

fn var(txn: &Txn, name: &str) -> Option<Sample> {
    txn.var(&VarName::parse(name).unwrap())
}

#[test]
fn acls_match_what_haproxy_matches() {
    let table = include_str!("samples/acls.txt");
    let cases: Vec<(&str, &str)> =
        table.lines().filter(|l| !l.starts_with("# ")).map(|l| l.rsplit_once('\t').unwrap()).collect();
    let mut config = String::new();
    for (n, (acl, _)) in cases.iter().enumerate() {
        let acl = acl.replace('\\', "\\\\");
        writeln!(config, " http-request set-var(txn.v{n}) int(1) if {{ {acl} }}").unwrap();
        writeln!(config, " http-request set-var(txn.w{n}) int(1) unless {{ {acl} }}").unwrap();
    }
    let bench = bench(&config);
    let (txn, _) = bench.run(RuleSet::HttpRequest, bench.request(REQUEST));
    for (n, (acl, expected)) in cases.iter().enumerate() {
        let holds = var(&txn, &format!("txn.v{n}")).is_some();
        let fails = var(&txn, &format!("txn.w{n}")).is_some();
        assert_eq!((holds, fails), (*expected == "yes", *expected == "no"), "{acl}");
    }
}

#[test]
fn conditions_are_alternatives_of_conjunctions() {
    let acls = " acl t always_true\n acl f always_false\n acl both always_false\n acl both always_true\n";
    let cases = [
        ("if t", true),
        ("if f", false),
        ("unless t", false),
        ("unless f", true),
        ("if !t", false),
        ("if ! f", true),
        ("if !!t", true),
        ("if t f", false),
        ("if t !f", true),
        ("if f || t", true),
        ("if f or t", true),
        ("if t f || f t || t t", true),
        ("unless t f || f", true),
        ("if both", true),
        ("if !both", false),
        ("if { always_true }", true),
        ("if !{ always_true }", false),
        ("if ! { path /nope } t", true),
        ("if TRUE !FALSE", true),
        ("if METH_GET HTTP_1.1 HTTP LOCALHOST HTTP_URL_SLASH WAIT_END", true),
        ("if METH_POST or HTTP_1.0 or HTTP_CONTENT or HTTP_URL_STAR or HTTP_URL_ABS", false),
    ];
    for (cond, expected) in cases {
        let bench = bench(&format!("{acls} http-request set-var(txn.hit) int(1) {cond}"));
        let (txn, _) = bench.run(RuleSet::HttpRequest, bench.request(REQUEST));
        assert_eq!(var(&txn, "txn.hit").is_some(), expected, "{cond}");
    }
}

#[test]
fn lines_of_an_acl_count_for_the_rules_before_them_too() {
    let bench = bench(" acl a always_false\n http-request set-var(txn.hit) int(1) if a\n acl a always_true");
    let (txn, _) = bench.run(RuleSet::HttpRequest, bench.request(REQUEST));
    assert_eq!(var(&txn, "txn.hit"), Some(Sample::Int(1)));
}

#[test]
fn many_exact_patterns_are_looked_up_like_few() {
    let many: String = (0..40).fold(String::new(), |all, n| format!("{all} /p{n}"));
    let bench = bench(&format!(
        " http-request set-var(txn.hit) int(1) if {{ path{many} /a/b }}
 http-request set-var(txn.miss) int(1) if {{ path{many} /A/B }}
 http-request set-var(txn.fold) int(1) if {{ path -i{many} /A/B }}"
    ));
    let (txn, _) = bench.run(RuleSet::HttpRequest, bench.request(REQUEST));
    let hits = ["txn.hit", "txn.miss", "txn.fold"].map(|name| var(&txn, name).is_some());
    assert_eq!(hits, [true, false, true]);
}

#[test]
fn actions_change_the_request() {
    let cases: &[(&str, &str)] = &[
        ("set-header X-New %[src]:%[src_port]", "X-New: 127.0.0.1:44992"),
        ("set-header X-Num 1%%", "X-Num: 1%"),
        ("add-header X-Num 43", "X-Num: 42\nX-Num: 43"),
        ("set-header Host %[req.hdr(host),lower,field(1,:)]", "Host: ex.com"),
        ("set-header X-T \"%[var(txn.none)]|%{+Q}[str(a)]\"", "X-T: |\"a\""),
        ("set-header X-C \"%[bin(01)]a\"", "X-C: %01a"),
        ("replace-header X-IP ^1\\.(.*):(.*)$ \\2-\\1", "X-IP: 80-2.3.4"),
        ("replace-value X-L ^([ab])$ <\\1>", "X-L: <a>, <b> ,\"c,d\",,e"),
        ("set-method POST", "POST /a/b?x=1&y=2 HTTP/1.1"),
        ("set-path /new", "GET /new?x=1&y=2 HTTP/1.1"),
        ("set-path /v%[path]", "GET /v/a/b?x=1&y=2 HTTP/1.1"),
        ("set-pathq /new", "GET /new HTTP/1.1"),
        ("set-query q=%[url_param(y)]", "GET /a/b?q=2 HTTP/1.1"),
        ("set-uri http://h/z", "GET http://h/z HTTP/1.1"),
        ("replace-path /(.*) /r/\\1", "GET /r/a/b?x=1&y=2 HTTP/1.1"),
        ("replace-pathq ^/a(.*) /z\\1", "GET /z/b?x=1&y=2 HTTP/1.1"),
        ("replace-uri .*x=(.) /\\1", "GET /1 HTTP/1.1"),
    ];
    for (rule, expected) in cases {
        let rule = rule.replace('\\', "\\\\");
        let bench = bench(&format!(" http-request {rule}"));
        let (txn, verdict) = bench.run(RuleSet::HttpRequest, bench.request(REQUEST));
        assert!(matches!(verdict, Verdict::Continue), "{rule}");
        assert!(wire(&txn.req).contains(expected), "{rule}\n{}", wire(&txn.req));
    }
}

#[test]
fn headers_are_deleted_by_name() {
    let cases =
        [("x-l", 4), ("X- -m beg", 2), ("p -m end", 4), ("o -m sub", 3), ("^x-[in] -m reg", 3), ("nope", 5)];
    for (names, left) in cases {
        let bench = bench(&format!(" http-request del-header {names}"));
        let (txn, _) = bench.run(RuleSet::HttpRequest, bench.request(REQUEST));
        assert_eq!(txn.req.header_count(), left, "{names}");
    }
}

#[test]
fn response_rules_see_the_response() {
    let bench = bench(
        " http-response set-status 204 reason \"Quite Empty\"
 http-response set-header X-S %[status]-%[res.hdr(a)]-%[res.ver] if { status 204 }
 http-response set-var(res.r) res.hdr(a)
 http-response set-header X-R %[var(res.r)]",
    );
    let mut txn = bench.request(REQUEST);
    txn.res = response("HTTP/1.1 200 OK\n a: 1, 2");
    let (txn, _) = bench.run(RuleSet::HttpResponse, txn);
    assert_eq!(wire(&txn.res), "HTTP/1.1 204 Quite Empty\na: 1, 2\nX-S: 204-2-1.1\nX-R: 2\n");
}

/// What a rule answers: status, header lines, body.
fn answer(rule: &str) -> String {
    let bench = bench(&format!(" http-request {rule}"));
    match bench.run(RuleSet::HttpRequest, bench.request(REQUEST)).1 {
        Verdict::Reply(reply) | Verdict::Deny(reply) | Verdict::Tarpit(reply) => {
            let lines = reply.headers.iter().map(|(n, v)| [n.as_slice(), v].join(&b"="[..]));
            let head = lines.map(|l| String::from_utf8(l).unwrap()).collect::<Vec<_>>().join(" ");
            let body = String::from_utf8_lossy(&reply.body).lines().next().unwrap_or_default().to_owned();
            format!("{} {head} |{body}", reply.status)
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn answers_are_those_of_haproxy() {
    let page = "cache-control=no-cache content-type=text/html |<html><body><h1>";
    let cases = [
        ("deny", format!("403 content-length=93 {page}403 Forbidden</h1>")),
        ("deny deny_status 429", format!("429 content-length=117 {page}429 Too Many Requests</h1>")),
        ("deny status 404", "404 content-length=0 |".to_owned()),
        ("deny hdr X-A b", "403 X-A=b content-length=0 |".to_owned()),
        ("return", "200 content-length=0 |".to_owned()),
        ("return status 204", "204  |".to_owned()),
        ("return status 404 default-errorfiles", format!("404 content-length=83 {page}404 Not Found</h1>")),
        (
            "return status 500 content-type text/plain lf-string %[path]x hdr X-A %[src]",
            "500 X-A=127.0.0.1 content-length=5 content-type=text/plain |/a/bx".to_owned(),
        ),
        (
            "return content-type text/plain string %[path]",
            "200 content-length=7 content-type=text/plain |%[path]".to_owned(),
        ),
        ("redirect location /x", "302 content-length=0 location=/x cache-control=no-cache |".to_owned()),
        ("redirect location /x code 301", "301 content-length=0 location=/x |".to_owned()),
        (
            "redirect prefix http://h2",
            "302 content-length=0 location=http://h2/a/b?x=1&y=2 cache-control=no-cache |".to_owned(),
        ),
        (
            "redirect prefix http://h2 drop-query append-slash code 308",
            "308 content-length=0 location=http://h2/a/b/ |".to_owned(),
        ),
        ("redirect prefix / code 301", "301 content-length=0 location=/a/b?x=1&y=2 |".to_owned()),
        (
            "redirect scheme https drop-query code 301",
            "301 content-length=0 location=https://Ex.com:80/a/b |".to_owned(),
        ),
        (
            "redirect location /y?%[query] set-cookie A=1 code 301",
            "301 content-length=0 location=/y?x=1&y=2 set-cookie=A=1; path=/; |".to_owned(),
        ),
        (
            "redirect location /y clear-cookie A= code 301",
            "301 content-length=0 location=/y set-cookie=A=; path=/; Max-Age=0; |".to_owned(),
        ),
        ("redirect location %[var(txn.no)] ignore-empty", "Continue".to_owned()),
        ("allow", "Stop".to_owned()),
        ("reject", "Close".to_owned()),
        ("silent-drop", "Drop".to_owned()),
    ];
    for (rule, expected) in cases {
        assert_eq!(answer(rule), expected, "{rule}");
    }
}

#[test]
fn the_first_rule_that_ends_the_set_ends_it() {
    let bench =
        bench(" http-request set-var(txn.a) int(1)\n http-request allow if METH_GET\n http-request deny");
    let (txn, verdict) = bench.run(RuleSet::HttpRequest, bench.request(REQUEST));
    assert!(matches!(verdict, Verdict::Stop));
    assert!(var(&txn, "txn.a").is_some());
    let (_, verdict) = bench.run(RuleSet::HttpRequest, bench.request("POST / HTTP/1.1"));
    assert!(matches!(verdict, Verdict::Deny(reply) if reply.status == 403));
}

/// Every control byte, through every rule whose value ends on the wire.
#[test]
fn control_bytes_from_samples_never_add_lines() {
    let rules = [
        "set-header X-New a%[var(txn.evil)]b",
        "add-header X-New a%[var(txn.evil)]b",
        "replace-header X-Num .* a%[var(txn.evil)]b",
        "replace-value X-Num .* a%[var(txn.evil)]b",
        "set-path /a%[var(txn.evil)]b",
        "set-pathq /a%[var(txn.evil)]b",
        "set-query a%[var(txn.evil)]b",
        "set-uri /a%[var(txn.evil)]b",
        "set-method A%[var(txn.evil)]B",
        "redirect location /a%[var(txn.evil)]b",
        "redirect prefix http://%[var(txn.evil)]b",
        "return hdr X-A a%[var(txn.evil)]b",
    ];
    for rule in rules {
        let bench = bench(&format!(" http-request {rule}"));
        for byte in (0..0x20).chain([0x7f]) {
            bench.logged.borrow_mut().clear();
            let mut txn = bench.request(REQUEST);
            let before = wire(&txn.req);
            txn.set_var(&VarName::parse("txn.evil").unwrap(), Sample::Str(vec![byte]));
            let (txn, verdict) = bench.run(RuleSet::HttpRequest, txn);
            let ends_lines = matches!(byte, b'\r' | b'\n' | 0);
            let lines = bench.logged.borrow().clone();
            if ends_lines {
                assert_eq!(wire(&txn.req), before, "{rule} {byte:#x}");
                assert_eq!(lines.len(), 1, "{rule} {byte:#x} {lines:?}");
                assert_eq!(lines[0].0, Level::Warning);
                assert!(lines[0].1.contains("t.cfg:5"), "{lines:?}");
            }
            let sent: Vec<u8> = match &verdict {
                Verdict::Reply(reply) | Verdict::Deny(reply) | Verdict::Tarpit(reply) => {
                    reply.headers.iter().flat_map(|(n, v)| [n.as_slice(), v].concat()).collect()
                }
                _ => txn
                    .req
                    .headers()
                    .flat_map(|(n, v)| [n, v].concat())
                    .chain(txn.req.uri().to_vec())
                    .collect(),
            };
            assert!(!sent.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{rule} {byte:#x}");
        }
    }
}

#[test]
fn variables_end_with_their_scope() {
    let bench = bench(
        " tcp-request session set-var(txn.early) int(1)
 tcp-request session set-var(sess.s) int(2)
 http-request set-var(req.q) int(3)
 http-request set-var(res.r) int(4)
 http-request set-var(check.c) int(5)
 http-request set-var(proc.p) int(6)
 http-request set-var(txn.t) int(7)
 http-response set-var(res.seen) var(req.q)
 http-response set-var(res.r2) int(8)",
    );
    let (txn, _) = bench.run(RuleSet::TcpSession, bench.request(REQUEST));
    assert_eq!(var(&txn, "txn.early"), None);
    assert_eq!(var(&txn, "sess.s"), Some(Sample::Int(2)));
    let (txn, _) = bench.run(RuleSet::HttpRequest, txn);
    let set = ["req.q", "res.r", "check.c", "proc.p", "txn.t"].map(|name| var(&txn, name).is_some());
    assert_eq!(set, [true, false, false, true, true]);
    let mut txn = txn;
    txn.res = response("HTTP/1.1 200 OK");
    let (txn, _) = bench.run(RuleSet::HttpResponse, txn);
    let set = ["req.q", "res.seen", "res.r2", "txn.t", "sess.s"].map(|name| var(&txn, name).is_some());
    assert_eq!(set, [false, false, true, true, true]);
    // Another session sees the process's variables only.
    let other = bench.txn();
    assert_eq!((var(&other, "proc.p"), var(&other, "sess.s")), (Some(Sample::Int(6)), None));
}

#[test]
fn set_var_obeys_its_conditions() {
    let bench = bench(
        " http-request set-var(txn.a,ifexists) int(1)
 http-request set-var(txn.b,ifnotexists) int(1)
 http-request set-var(txn.b,ifnotexists) int(2)
 http-request set-var(txn.c,ifnotempty) str()
 http-request set-var(txn.d,ifempty) str()
 http-request set-var(txn.n) int(5)
 http-request set-var(txn.n,ifgt) int(9)
 http-request set-var(txn.n,iflt) int(7)
 http-request set-var-fmt(txn.f) %[src]/%[var(txn.n)]
 http-request set-var(txn.u) int(1)
 http-request unset-var(txn.u)",
    );
    let (txn, _) = bench.run(RuleSet::HttpRequest, bench.request(REQUEST));
    let shown = ["a", "b", "c", "d", "n", "f", "u"].map(|name| {
        var(&txn, &format!("txn.{name}"))
            .map_or("-".to_owned(), |v| String::from_utf8(v.into_text()).unwrap())
    });
    assert_eq!(shown, ["-", "1", "-", "", "7", "127.0.0.1/7", "-"]);
}

#[test]
fn content_rules_wait_for_data_that_could_matter() {
    let bench = Bench::new(
        "frontend f\n mode tcp\n bind 127.0.0.1:23998\n tcp-request inspect-delay 5s
 tcp-request content set-var(txn.first) int(1)
 tcp-request content reject if { req.payload(0,4) -m str EVIL }
 tcp-request content accept if { req.len ge 8 }
 tcp-request content reject
",
    );
    let feed = |mut txn: Txn, bytes: &[u8]| {
        // Room stays behind the data, or the buffer would be full and the wait over.
        let end = txn.req_chn.data().len();
        txn.req_chn.replace(end..end, &[bytes, &[0; 64]].concat());
        txn.req_chn.replace(end + bytes.len()..end + bytes.len() + 64, b"");
        txn
    };
    let mut run = RuleRun::default();
    let (txn, done) = bench.poll(RuleSet::TcpRequest, bench.txn(), &mut run);
    assert!(matches!(done, Poll::Ready(Verdict::WaitData)));
    assert!(var(&txn, "txn.first").is_some());
    let (txn, done) = bench.poll(RuleSet::TcpRequest, feed(txn, b"GOOD"), &mut run);
    assert!(matches!(done, Poll::Ready(Verdict::WaitData)));
    let (_, done) = bench.poll(RuleSet::TcpRequest, feed(txn, b"data"), &mut run);
    assert!(matches!(done, Poll::Ready(Verdict::Stop)));
    let (_, verdict) = bench.run(RuleSet::TcpRequest, feed(bench.txn(), b"EVIL"));
    assert!(matches!(verdict, Verdict::Close));
}

#[test]
fn wrong_rules_are_refused_with_their_place() {
    let rules = include_str!("samples/wrong-rules.txt");
    let mut shown = String::new();
    for rule in rules.lines() {
        let config = format!("frontend f\n mode http\n bind 127.0.0.1:23998\n {rule}\n");
        writeln!(shown, "{rule}").unwrap();
        for line in complaints(&config).iter().filter(|line| line.contains("t.cfg:4")) {
            writeln!(shown, "    {line}").unwrap();
        }
    }
    insta::assert_snapshot!(shown);
}
