//! Checks against scripted bytes: what is sent, and what the answer is worth.

use std::fmt::Write as _;

use super::*;
use crate::{backend::testing::start, check::CheckDraft};

const LIMITS: Limits = Limits { connect: Duration::from_secs(1), answer: None, answer_max: 16384 };

/// Builds a check from configuration lines.
fn spec(lines: &[&str]) -> CheckSpec {
    let mut draft = CheckDraft::default();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match &words[..] {
            ["option", "httpchk", rest @ ..] => draft.httpchk(rest).unwrap(),
            ["option", "tcp-check"] => draft.tcp_check_option(),
            ["http-check", rest @ ..] => draft.http_check(rest).unwrap(),
            ["tcp-check", rest @ ..] => draft.tcp_check(rest).unwrap(),
            other => panic!("no such line: {other:?}"),
        }
    }
    draft.finish()
}

/// Runs a check against an answer given in pieces, then the end of the connection.
fn exchange(spec: &CheckSpec, pieces: &[&[u8]]) -> (String, CheckResult) {
    let now = start();
    let mut check = Check::begin(spec, LIMITS, now);
    let mut sent = String::new();
    check.handle_connected(now);
    for piece in pieces {
        drain(&mut check, &mut sent);
        assert_eq!(check.handle_input(now, piece), piece.len());
    }
    drain(&mut check, &mut sent);
    check.handle_end(now);
    let result = check.poll_event().expect("the end of the connection ends every check");
    assert_eq!(check.poll_event(), None);
    assert_eq!(check.poll_timeout(), None);
    (sent, result)
}

fn drain(check: &mut Check, sent: &mut String) {
    while let Some(bytes) = check.poll_transmit() {
        write!(sent, "{}", bytes.escape_ascii()).unwrap();
    }
}

fn short(result: &CheckResult) -> String {
    format!("{} {} {}", result.status.short(), result.code, result.info)
}

fn judged(lines: &[&str], answer: &[u8]) -> String {
    let spec = spec(lines);
    let (sent, whole) = exchange(&spec, &[answer]);
    let pieces: Vec<&[u8]> = answer.chunks(1).collect();
    let (sent_again, split) = exchange(&spec, &pieces);
    assert_eq!(
        (&sent, &whole.info, whole.status),
        (&sent_again, &split.info, split.status),
        "split at every byte"
    );
    short(&whole)
}

#[test]
fn requests_are_as_haproxy_sends_them() {
    for (lines, expected) in [
        (&["option httpchk"][..], r"OPTIONS / HTTP/1.0\r\n\r\n"),
        (&["option httpchk /x"], r"OPTIONS /x HTTP/1.0\r\n\r\n"),
        (&["option httpchk GET /x"], r"GET /x HTTP/1.0\r\n\r\n"),
        (
            &["option httpchk GET /x HTTP/1.1", "http-check send hdr Host foo body abc"],
            r"GET /x HTTP/1.1\r\nhost: foo\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc",
        ),
        (
            &["option httpchk OPTIONS * HTTP/1.1\r\nHost:\u{a0}www"],
            r"OPTIONS * HTTP/1.1\r\nhost: www\r\nconnection: close\r\n\r\n",
        ),
        (
            &["option httpchk HEAD / HTTP/1.1 www", "http-check send hdr Connection keep-alive"],
            r"HEAD / HTTP/1.1\r\nhost: www\r\nconnection: keep-alive\r\n\r\n",
        ),
        (
            &["option httpchk", "http-check send meth PUT uri /y ver HTTP/1.1 hdr Content-Length 9 body {}"],
            r"PUT /y HTTP/1.1\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        ),
        (&["option tcp-check", r"tcp-check send PING", "tcp-check expect string x"], "PING"),
        (&["option tcp-check", "tcp-check send-binary 0a0B", "tcp-check expect string x"], r"\n\x0b"),
    ] {
        let (sent, _) = exchange(&spec(lines), &[]);
        assert_eq!(sent, expected, "{lines:?}");
    }
}

#[test]
fn http_answers_are_judged_as_haproxy_judges_them() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world";
    const BAD: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 11\r\n\r\nhello world";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    for (expect, answer, verdict) in [
        ("", OK, "L7OK 200 "),
        ("", BAD, "L7STS 503 Service Unavailable"),
        ("", &b"HTTP/1.0 302 Found\r\n\r\n"[..], "L7OK 302 "),
        ("", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n", "L7STS 404 Not Found"),
        ("", b"", "L7RSP 0 "),
        ("", b"SSH-2.0 foo\r\n", "L7RSP 0 "),
        ("", b"HTTP/1.1 200 OK\r\nConte", "L7RSP 0 "),
        ("", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhel", "L7OK 200 "),
        ("status 200", BAD, "L7STS 503 Service Unavailable"),
        ("status 200-299,503", BAD, "L7OK 503 "),
        ("! status 503", BAD, "L7STS 503 Service Unavailable"),
        ("!status 404", BAD, "L7OK 503 "),
        ("rstatus ^2", BAD, "L7STS 503 Service Unavailable"),
        ("! rstatus ^5", BAD, "L7STS 503 Service Unavailable"),
        ("rstatus ^5", BAD, "L7OK 503 "),
        ("string nope", OK, "L7RSP 0 HTTP content check did not match"),
        ("string hello", OK, "L7OK 200 "),
        ("string hello", BAD, "L7OK 503 "),
        ("string hello", CHUNKED, "L7OK 200 "),
        ("! string hello", OK, "L7RSP 0 HTTP check matched unwanted content"),
        ("! string nope", OK, "L7OK 200 "),
        ("rstring ^nope", OK, "L7RSP 0 HTTP content check did not match"),
        ("! rstring ^hello", OK, "L7RSP 0 HTTP check matched unwanted content"),
        ("rstring o.w", OK, "L7OK 200 "),
        ("string x", b"HTTP/1.0 200 OK\r\n\r\n", "L7RSP 0 HTTP content check could not find a response body"),
    ] {
        let line = format!("http-check expect {expect}");
        let lines: &[&str] = if expect.is_empty() { &["option httpchk"] } else { &["option httpchk", &line] };
        assert_eq!(judged(lines, answer), verdict, "{expect:?} on {:?}", answer.escape_ascii().to_string());
    }
}

#[test]
fn all_expects_must_hold() {
    let lines = ["option httpchk", "http-check expect status 200", "http-check expect string bye"];
    assert_eq!(judged(&lines, b"HTTP/1.0 200 OK\r\n\r\nhello"), "L7RSP 0 HTTP content check did not match");
    assert_eq!(judged(&lines, b"HTTP/1.0 200 OK\r\n\r\ngoodbye"), "L7OK 200 ");
}

#[test]
fn a_404_can_mean_stopping() {
    let lines = ["option httpchk", "http-check disable-on-404"];
    assert_eq!(judged(&lines, b"HTTP/1.0 404 Not Found\r\n\r\n"), "L7OKC 404 Not Found");
}

#[test]
fn tcp_steps_are_judged_in_order() {
    for (steps, answer, verdict) in [
        (&["expect string 220"][..], &b"220 hello"[..], "L7OK 0 (tcp-check)"),
        (
            &["expect comment foo string 550"],
            b"220 hello",
            "L7RSP 0 TCPCHK did not match content '550' at step 1 comment: foo",
        ),
        (&["expect rstring ^250"], b"220 hello", "L7RSP 0 TCPCHK did not match content (regex) at step 1"),
        (&["expect string 220"], b"", "L7RSP 0 TCPCHK got an empty response at step 1"),
        (&["expect binary 323230"], b"220", "L7OK 0 (tcp-check)"),
        (&["expect rbinary ^3232"], b"220", "L7OK 0 (tcp-check)"),
        (
            &["send PING", "expect string PONG"],
            b"PING",
            "L7RSP 0 TCPCHK did not match content 'PONG' at step 2",
        ),
        (&["expect string a", "expect string b"], b"ab", "L7OK 0 (tcp-check)"),
        (&["send PING"], b"", "L7OK 0 (tcp-check)"),
        (&[], b"", "L4OK 0 "),
    ] {
        let lines: Vec<String> = steps.iter().map(|s| format!("tcp-check {s}")).collect();
        let lines: Vec<&str> =
            std::iter::once("option tcp-check").chain(lines.iter().map(String::as_str)).collect();
        assert_eq!(judged(&lines, answer), verdict, "{steps:?}");
    }
}

#[test]
fn unwanted_content_is_found_in_what_has_come() {
    let spec = spec(&["option tcp-check", "tcp-check expect ! string 220"]);
    let (_, result) = exchange(&spec, &[b"220 hello"]);
    assert_eq!(short(&result), "L7RSP 0 TCPCHK matched unwanted content '220' at step 1");
}

#[test]
fn an_answer_larger_than_the_buffer_is_judged_by_its_front() {
    let spec = spec(&["option httpchk", "http-check expect string needle"]);
    let limits = Limits { answer_max: 64, ..LIMITS };
    let now = start();
    let mut check = Check::begin(&spec, limits, now);
    check.handle_connected(now);
    check.handle_input(now, b"HTTP/1.0 200 OK\r\n\r\n");
    check.handle_input(now, &[b'x'; 100]);
    assert_eq!(check.answer.len(), 64);
    assert_eq!(short(&check.poll_event().unwrap()), "L7RSP 0 HTTP content check did not match");
}

#[test]
fn time_ends_a_check_at_the_limit_that_applies() {
    let (connect, answer) = (Duration::from_secs(1), Duration::from_millis(300));
    let t0 = start();
    let connected = t0 + Duration::from_millis(500);
    for (limit, connects, ends_at, status) in [
        (None, false, t0 + connect, CheckStatus::L4Tout),
        (None, true, t0 + connect, CheckStatus::L7Tout),
        (Some(answer), false, t0 + connect, CheckStatus::L4Tout),
        (Some(answer), true, connected + answer, CheckStatus::L7Tout),
    ] {
        let mut check = Check::begin(&spec(&["option httpchk"]), Limits { answer: limit, ..LIMITS }, t0);
        if connects {
            check.handle_connected(connected);
            check.handle_input(connected, b"HTTP/1.0 2");
        }
        assert_eq!(check.poll_timeout(), Some(ends_at));
        check.handle_timeout(ends_at - Duration::from_millis(1));
        assert_eq!(check.poll_event(), None);
        check.handle_timeout(ends_at);
        let result = check.poll_event().unwrap();
        assert_eq!((result.status, result.duration), (status, ends_at - t0));
    }
}

#[test]
fn a_timeout_in_tcp_steps_says_where() {
    let spec = spec(&["option tcp-check", "tcp-check send HI", "tcp-check expect string 220"]);
    let mut check = Check::begin(&spec, LIMITS, start());
    check.handle_connected(start());
    check.handle_timeout(start() + LIMITS.connect * 2);
    assert_eq!(short(&check.poll_event().unwrap()), "L7TOUT 0  at step 2 of tcp-check (expect string '220')");
}

#[test]
fn system_errors_are_named_without_their_number() {
    for (connected, status) in [(false, CheckStatus::L4Con), (true, CheckStatus::SockErr)] {
        let mut check = Check::begin(&spec(&["option httpchk"]), LIMITS, start());
        if connected {
            check.handle_connected(start());
        }
        check.handle_error(start(), &io::Error::from_raw_os_error(111));
        let result = check.poll_event().unwrap();
        assert_eq!((result.status, &*result.info), (status, "Connection refused"));
    }
}

#[test]
fn a_probe_sends_and_judges_in_its_own_words() {
    #[derive(Debug)]
    struct Echo;
    impl crate::check::Prober for Echo {
        fn request(&self) -> Vec<u8> {
            b"hello".to_vec()
        }
        fn judge(&self, answer: &[u8], _: bool) -> Option<Verdict> {
            match answer {
                b"hello" => Some(Verdict::new(CheckStatus::L7Okd, "echo")),
                part if b"hello".starts_with(part) => None,
                _ => Some(Verdict::new(CheckStatus::L7Rsp, "invalid frame received")),
            }
        }
    }
    let spec = CheckSpec::Probe(Arc::new(Echo));
    for (pieces, expected) in [
        (&[&b"hel"[..], b"lo"][..], "L7OK 0 echo"),
        (&[b"help"], "L7RSP 0 invalid frame received"),
        (&[b"hel"], "L7RSP 0 "),
    ] {
        let (sent, result) = exchange(&spec, pieces);
        assert_eq!((&*sent, &*short(&result)), ("hello", expected));
    }
}
