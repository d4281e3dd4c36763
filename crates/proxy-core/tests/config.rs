//! Configuration files and what the parser says about them.
//!
//! Each file of `tests/cfg` is read on its own; the snapshot holds what would be printed and, if
//! the file is accepted, a summary of what was understood.

use std::{fmt::Write as _, fs, net::IpAddr};

use proxy_core::{
    cfgparse::{Env, Outcome, Parser, Severity, Source},
    registry::Registry,
};

fn parse(name: &str, text: impl Into<Vec<u8>>) -> Outcome {
    let env = Env::from_iter([("HOME", "/home/tide"), ("LIST", "127.0.0.1  local0 info"), ("EMPTY", "")]);
    Parser::new(Registry::builtin())
        .env(env)
        .resolver(|host: &str| (host == "localhost").then_some(IpAddr::from([127, 0, 0, 1])))
        .source(Source::new(name, text))
        .parse()
}

fn show(outcome: &Outcome) -> String {
    let mut out = String::new();
    for diagnostic in &outcome.diagnostics {
        writeln!(out, "{}", diagnostic.render(1)).unwrap();
    }
    let Some(config) = &outcome.config else { return out };
    writeln!(out, "---\n{:#?}", config.global).unwrap();
    for proxy in &config.proxies {
        writeln!(out, "--- {} {} {:?} {:?}", proxy.uuid, proxy.name, proxy.capabilities, proxy.mode).unwrap();
        writeln!(out, "{:?}", proxy.timeouts).unwrap();
        writeln!(out, "{:?}", proxy.options).unwrap();
        writeln!(
            out,
            "retries {} redispatch {} maxconn {} fullconn {} disabled {} log-format {} logs {:?}",
            proxy.retries,
            proxy.redispatch,
            proxy.maxconn,
            proxy.fullconn,
            proxy.disabled,
            proxy.log_format.is_some(),
            proxy.logs
        )
        .unwrap();
        writeln!(out, "check {:?}", proxy.check).unwrap();
        let rules = &proxy.rules;
        for (name, set) in [
            ("tcp-request connection", &rules.tcp_connection),
            ("tcp-request session", &rules.tcp_session),
            ("tcp-request content", &rules.tcp_request),
            ("tcp-response content", &rules.tcp_response),
            ("http-request", &rules.http_request),
            ("http-response", &rules.http_response),
            ("http-after-response", &rules.http_after_response),
        ] {
            let lines: Vec<_> = set.iter().map(|rule| (rule.place.line, rule.cond.is_some())).collect();
            if !lines.is_empty() {
                writeln!(out, "{name} {lines:?}").unwrap();
            }
        }
        let target = proxy.default_backend.get().map(|p| p.name.as_str());
        writeln!(out, "default_backend {target:?}").unwrap();
        for rule in proxy.use_backend.get().into_iter().flatten() {
            let target = rule.backend.as_ref().map(|p| p.name.as_str());
            writeln!(out, "use_backend {target:?} cond {}", rule.cond.is_some()).unwrap();
        }
        proxy.binds.iter().for_each(|bind| writeln!(out, "{bind:?}").unwrap());
        proxy.servers.iter().for_each(|server| writeln!(out, "{} {:?}", server.puid, server.config).unwrap());
    }
    out
}

#[test]
fn files_are_judged_as_haproxy_judges_them() {
    insta::glob!("cfg/*.cfg", |path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read(path).unwrap();
        let shown = show(&parse(&name, text.clone()));
        insta::with_settings!({ description => String::from_utf8_lossy(&text), omit_expression => true }, {
            insta::assert_snapshot!(shown);
        });
    });
}

#[test]
fn errors_point_at_their_word() {
    for (text, word) in [
        ("frontend f\n    bond :80\n", "bond"),
        ("frontend f\n    bind :80 nam x\n", "nam"),
        ("backend b\n    server a 1.2.3.4:99999\n", "1.2.3.4:99999"),
        ("backend b\n    timeout server \"5x\"\n", "\"5x\""),
        ("frontend f\n    no option http-server-clos\n", "http-server-clos"),
    ] {
        let outcome = parse("a.cfg", text);
        let span = outcome.diagnostics[0].span.clone().expect("the word is known");
        assert_eq!(&text[span], word, "{text}");
    }
}

#[test]
fn every_error_of_every_file_is_reported() {
    let outcome = Parser::new(Registry::builtin())
        .source(Source::new("a.cfg", "global\n  foo\n  bar\n"))
        .source(Source::new("b.cfg", "  baz\n"))
        .parse();
    let shown: Vec<_> = outcome.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "parsing [a.cfg:2] : unknown keyword 'foo' in 'global' section",
            "parsing [a.cfg:3] : unknown keyword 'bar' in 'global' section",
            "Error(s) found in configuration file : a.cfg",
            "parsing [b.cfg:1]: unknown keyword 'baz' out of section.",
            "Error(s) found in configuration file : b.cfg",
            "Fatal errors found in configuration.",
        ]
    );
}

#[test]
fn folders_give_their_files_in_order() {
    let folder = std::env::temp_dir().join(format!("proxy-core-config-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for name in ["b.cfg", "a.cfg", ".hidden.cfg", "notes.txt"] {
        fs::write(folder.join(name), "").unwrap();
    }
    let names: Vec<_> = Source::read(&folder).unwrap().into_iter().map(|source| source.name).collect();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(names.len(), 2);
    assert!(names[0].ends_with("a.cfg") && names[1].ends_with("b.cfg"));
}

#[test]
fn a_missing_file_is_an_alert() {
    let outcome = Parser::new(Registry::builtin()).path("/nonexistent/x.cfg".as_ref()).parse();
    assert!(outcome.config.is_none());
    assert_eq!(
        outcome.diagnostics[0].to_string(),
        "Cannot open configuration file/directory /nonexistent/x.cfg : No such file or directory"
    );
}

#[test]
fn the_environment_is_a_value() {
    let outcome = parse("a.cfg", "global\n setenv A 1\n presetenv A 2\n presetenv B 3\n unsetenv EMPTY\n");
    assert_eq!(outcome.env().value("A"), Some("1"));
    assert_eq!(outcome.env().value("B"), Some("3"));
    assert_eq!(outcome.env().value("EMPTY"), None);
    assert_eq!(std::env::var("B"), Err(std::env::VarError::NotPresent));
    let outcome = parse("a.cfg", "global\n resetenv HOME\n");
    assert_eq!(outcome.env().iter().map(|(name, _)| name).collect::<Vec<_>>(), ["HOME"]);
}

mod any_bytes {
    use proptest::prelude::*;

    use super::*;

    /// Pieces that make the parser go further than noise does.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(PIECES);
        prop_oneof![
            6 => known.prop_map(|piece| piece.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..6),
            1 => "[ -~]{0,8}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn never_panic(pieces in prop::collection::vec(piece(), 0..60)) {
            let outcome = parse("x.cfg", pieces.concat());
            let refused = outcome.diagnostics.iter().any(|d| d.severity == Severity::Alert);
            prop_assert_eq!(refused, outcome.config.is_none());
            outcome.diagnostics.iter().for_each(|d| drop(d.render(1)));
        }
    }

    const PIECES: &[&str] = &[
        "\n",
        "\n",
        "\n",
        "\n",
        " ",
        " ",
        " ",
        "\t",
        "\\\n",
        "\\",
        "\"",
        "'",
        "#",
        "$",
        "\"${",
        "\"$HOME\"",
        "}",
        "\"${LIST[*]}\"",
        "\"${NOPE-a b}\"",
        "\\x41",
        "\\xff",
        "global",
        "defaults",
        "defaults d",
        "frontend f",
        "backend b",
        "listen l",
        "from d",
        "bind",
        ":80",
        ":80-90",
        "*:1,:2",
        "fd@3",
        "unix@/x",
        "[::1]:80",
        "server s 127.0.0.1:1",
        "check",
        "inter 1s",
        "weight",
        "256",
        "0",
        "-1",
        "99999999999999999999",
        "balance",
        "random(2)",
        "hdr(",
        "uri",
        "depth",
        "timeout client",
        "1s",
        "1us",
        "24d",
        "option",
        "httplog",
        "forwardfor",
        "except 10.0.0.0/8",
        "http-request",
        "deny",
        "if",
        "unless",
        "{ path / }",
        "acl a path /",
        "use_backend",
        "default_backend b",
        "%[path]",
        "log",
        "stdout",
        "local0",
        "global",
        "len 80",
        "format raw",
        ".if",
        ".elif",
        ".else",
        ".endif",
        ".notice",
        "streq(a,b)",
        "version_atleast(3.4)",
        "(",
        ")",
        "!",
        "&&",
        "||",
        "no",
        "default",
        "stats socket",
        "level admin",
        "mode http",
        "nbthread 4",
        "setenv A b",
        "filter",
        "http-check send",
        "tcp-check expect",
        "option httpchk",
        "id 3",
        "tune.bufsize",
        "16k",
        "é",
        "\u{0}",
        "\r\n",
    ];
}
