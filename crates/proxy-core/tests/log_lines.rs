//! What exchanges leave in the log, byte by byte.

#[path = "support/txn.rs"]
mod support;

use std::time::Duration;

use proxy_core::{
    config::{LogHeader, LogTarget},
    host::Addr,
    log::{self, Facility, Level, header::write_header},
    sample::Sample,
    txn::Txn,
    vars::VarName,
};
use support::{Bench, WALL, response, start};

const SERVERS: &str = "backend b\n mode http\n server s1 127.0.0.1:23900\n";

fn bench(lines: &str) -> Bench {
    Bench::new(&format!(
        "frontend f\n mode http\n bind 127.0.0.1:23998\n log 127.0.0.1:514 format raw local3\n{lines}\n default_backend b\n{SERVERS}"
    ))
}

/// An exchange that went well: 3 ms idle, then 1, 2, 4, 8 and 16 ms.
fn finished(bench: &Bench) -> Txn {
    let mut txn = bench.request("GET /a?b=\"#{1}\u{e9} HTTP/1.1\n Host: h");
    let at = |ms| Some(start() + Duration::from_millis(ms));
    txn.backend = bench.config.backends["b"].clone();
    txn.server = Some(txn.backend.servers[0].clone());
    txn.res = response("HTTP/1.1 200 OK\n a: b");
    let log = &mut txn.log;
    log.first_byte = at(3);
    log.request_done = at(4);
    log.dequeued = at(6);
    log.connected = at(10);
    log.response_done = at(18);
    log.ended = at(34);
    log.bytes_in = 80;
    log.bytes_out = 51;
    log.status = 200;
    log.termination = *b"----";
    log.retries = 1;
    log.queued_before = (2, 3);
    log.backend_source = Some(Addr::Ip(([127, 0, 0, 1], 59834).into()));
    log.request_line = "GET /a?b=\"#{1}\u{e9} HTTP/1.1".into();
    txn
}

fn line(bench: &Bench, mut txn: Txn) -> Option<String> {
    log::log_exchange(&mut txn);
    log::log_exchange(&mut txn);
    let lines = bench.logged.borrow();
    assert!(lines.len() <= 1, "an exchange has one line");
    lines.first().map(|(_, line)| line.clone())
}

#[test]
fn the_usual_formats_print_what_haproxy_prints() {
    let cases = [
        (
            "option httplog",
            "127.0.0.1:44992 [14/Nov/2023:22:13:20.253] f b/s1 1/2/4/8/31 200 51 - - ---- 0/0/0/0/1 2/3 \
             \"GET /a?b=#22#23{1}#C3#A9 HTTP/1.1\"",
        ),
        ("option tcplog", "127.0.0.1:44992 [14/Nov/2023:22:13:20.250] f b/s1 2/4/34 51 -- 0/0/0/0/1 2/3"),
        ("", "Connect from 127.0.0.1:44992 to 127.0.0.1:23998 (f/HTTP)"),
    ];
    for (option, expected) in cases {
        let bench = bench(&format!(" {option}"));
        assert_eq!(line(&bench, finished(&bench)).as_deref(), Some(expected), "{option}");
    }
}

#[test]
fn every_tag_has_its_place() {
    let cases = [
        (
            "%T|%Tl|%Ts|%t|%ms",
            "14/Nov/2023:22:13:20 +0000|14/Nov/2023:22:13:20 +0000|1700000000|14/Nov/2023:22:13:20.250|250",
        ),
        ("%tr|%trg|%trl", "14/Nov/2023:22:13:20.253|14/Nov/2023:22:13:20 +0000|14/Nov/2023:22:13:20 +0000"),
        ("%ci:%cp|%fi:%fp|%f|%ft|%b|%s", "127.0.0.1:44992|127.0.0.1:23998|f|f|b|s1"),
        ("%si:%sp|%bi:%bp|%B|%U|%CC|%CS", "127.0.0.1:23900|127.0.0.1:59834|51|80|-|-"),
        ("%HM|%HP|%HPO|%HQ|%HV|%ID|%ST", "GET|/a|/a|?b=#22#23{1}#C3#A9|HTTP/1.1|-|200"),
        ("%ac|%bc|%bq|%fc|[%hr%hs%hrl%hsl]|%lc", "0|0|3|0|[]|0"),
        ("%rc|%rt|%sc|%sq|%ts|%tsc", "1|9|0|2|--|----"),
        ("%Ta|%Tc|%Td|%Th|%Ti|%Tq|%TR|%Tr|%Tt|%Tu|%Tw", "31|4|16|0|3|4|1|8|34|31|2"),
        ("%{+X}ci|%{+X}cp|%{+X}Ts|%{+X}rt", "7F000001|AFC0|6553F100|0009"),
        ("%[src]|%{+Q}[var(txn.no)]|%[var(txn.no)]|%{+Q}b", "127.0.0.1|\"\"|-|\"b\""),
        ("%{+E}[var(txn.q)]|%[var(txn.q)]", "a\\\"b\\\\\\]#c|a#22b\\]#23c"),
        ("%{+X}[src]|%{+X}[int(255)]|%{+Q,+X}ci", "127.0.0.1|255|\"7F000001\""),
        ("  two   spaces %hr  %hs end  ", "two spaces end "),
        ("%{+Q}o %ci %b %ST %{-Q}HM %hr %[var(txn.no)] %CC", "\"127.0.0.1\" \"b\" 200 GET \"\" \"\""),
        ("100%% %(name)ST %(n:sint)[int(5)]", "100% 200 5"),
        ("%[status]|%[res.hdr(a)]|%[var(txn.q),length]|%[txn.timer.total]", "200|b|8|31"),
    ];
    for (format, expected) in cases {
        let format = format.replace('"', "\\\"");
        let bench = bench(&format!(" log-format \"{format}\""));
        let mut txn = finished(&bench);
        txn.set_var(&VarName::parse("txn.q").unwrap(), Sample::Str(b"a\"b\\]#c\x0a"[..7].to_vec()));
        if expected.contains("|8|") && !expected.contains("31|4") {
            txn.set_var(&VarName::parse("txn.q").unwrap(), Sample::Str(b"12345678".to_vec()));
        }
        assert_eq!(line(&bench, txn).as_deref(), Some(expected), "{format}");
    }
}

#[test]
fn what_never_came_is_marked() {
    let bench = bench(" option httplog");
    let mut txn = bench.txn();
    txn.log.ended = Some(start() + Duration::from_millis(1001));
    txn.log.first_byte = Some(start());
    txn.log.status = 408;
    txn.log.termination = *b"cR--";
    assert_eq!(
        line(&bench, txn).unwrap(),
        "127.0.0.1:44992 [14/Nov/2023:22:13:20.250] f f/<NOSRV> -1/-1/-1/-1/1001 408 0 - - cR-- 0/0/0/0/0 0/0 \"<BADREQ>\""
    );
}

#[test]
fn control_bytes_never_end_a_log_line() {
    let bench = bench(" log-format %[var(txn.evil)]|%{+Q}[var(txn.evil)]|%{+E}[var(txn.evil)]|%HU");
    for byte in (0..0x20).chain(0x7f..=0xff) {
        bench.logged.borrow_mut().clear();
        let mut txn = finished(&bench);
        txn.log.request_line = [b"GET /".as_slice(), &[byte], b" HTTP/1.1"].concat();
        txn.set_var(&VarName::parse("txn.evil").unwrap(), Sample::Str(vec![byte]));
        let line = line(&bench, txn).unwrap();
        let code = format!("#{byte:02X}");
        assert_eq!(line, format!("{code}|\"{code}\"|{code}|/{code}"));
    }
}

#[test]
fn lines_are_left_out_as_options_say() {
    let sent = |lines: &str, change: fn(&mut Txn)| {
        let bench = bench(lines);
        let mut txn = finished(&bench);
        change(&mut txn);
        line(&bench, txn).is_some()
    };
    assert!(sent(" option dontlognull", |_| {}));
    assert!(!sent(" option dontlognull", |txn| (txn.log.bytes_in, txn.log.bytes_out) = (0, 0)));
    assert!(sent(" option dontlog-normal", |_| {}), "a retry is not normal");
    assert!(!sent(" option dontlog-normal", |txn| txn.log.retries = 0));
    assert!(sent(" option dontlog-normal", |txn| (txn.log.retries, txn.log.status) = (0, 503)));
    assert!(!sent("", |txn| txn.log.level = Some(log::LevelOverride::Silent)));
    assert!(sent("", |txn| txn.log.level = Some(log::LevelOverride::Level(Level::Debug))));
}

#[test]
fn headers_are_those_of_each_format() {
    let cases = [
        (LogHeader::Rfc3164, "<158>Nov 14 22:13:20 localhost tag[42]: "),
        (LogHeader::Rfc5424, "<158>1 2023-11-14T22:13:20.250000+00:00 - tag 42 - - "),
        (LogHeader::Iso, "2023-11-14T22:13:20.250000+00:00 "),
        (LogHeader::Timed, "<6>2023-11-14T22:13:20.250000+00:00 "),
        (LogHeader::Short, "<6>"),
        (LogHeader::Priority, "<158>"),
        (LogHeader::Raw, ""),
    ];
    let bench = bench("");
    for (format, expected) in cases {
        let facility = Facility::from_name("local3").unwrap();
        let target = LogTarget { format, facility, ..bench.proxy().logs[0].clone() };
        let mut out = Vec::new();
        write_header(&target, Level::Info, WALL, "tag", 42, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn targets_filter_and_clamp_levels() {
    let bench = bench("");
    let target = |max_level, min_level, max_len| {
        vec![LogTarget { max_level, min_level, max_len, ..bench.proxy().logs[0].clone() }]
    };
    log::send(&bench.worker, &target(Level::Notice, None, 99), Level::Info, b"no");
    log::send(&bench.worker, &target(Level::Info, Some(Level::Notice), 99), Level::Alert, b"yes");
    log::send(&bench.worker, &target(Level::Debug, None, 3), Level::Info, b"longer");
    let expected = [(Level::Notice, "yes".to_owned()), (Level::Info, "lon".to_owned())];
    assert_eq!(*bench.logged.borrow(), expected);
}
