//! The SPOE configuration file: what is accepted, what is refused and where.

use std::time::Duration;

use spoe::Event;
use spoe::config::{FailMode, Line, SpoeConfig};

/// Splits at blanks; quotes and comments are the proxy's lexer's matter.
fn lines(text: &str) -> Vec<Line> {
    let line = |(at, line): (usize, &str)| Line {
        file: "spoe.cfg".into(),
        line_no: at + 1,
        words: line.split_whitespace().map(str::to_owned).collect(),
    };
    text.lines().enumerate().map(line).collect()
}

fn parse(text: &str, engine: Option<&str>) -> Result<SpoeConfig, String> {
    SpoeConfig::parse(lines(text), engine, 16_380).map_err(|errors| errors.to_string())
}

const FULL: &str = "
[other]
junk that nobody reads
[e1]
spoe-agent ag
  messages m1 m2
  messages m3
  groups g
  use-backend agents
  timeout hello 400ms
  timeout idle 2m
  timeout processing 1500us
  max-frame-size 256
  max-waiting-frames 3
  maxconnrate 7
  maxerrrate 8
  no option async
  no option pipelining
  no option send-frag-payload
  option dontlog-normal
  option continue-on-error
  option force-set-var
  option var-prefix my.pfx_1
  option set-on-error err
  option set-process-time ptime
  option set-total-time ttime
  option fail closed 429
  register-var-names a b
  register-var-names c
  log global
  no log
  log 127.0.0.1:514 local0
spoe-message m1
  args ip=src path a=str(x=y)
  args last=int(1)
  acl local src 127.0.0.1
  acl local src ::1
  event on-client-session
  event on-frontend-http-request if local { path_beg /x }
spoe-message m2
  event on-backend-http-request unless FALSE
spoe-message m3
spoe-message mg
  args q=path
spoe-group g
  messages mg m1
[last]
more junk
";

#[test]
fn every_keyword_is_taken() {
    let config = parse(FULL, Some("e1")).unwrap();
    let agent = &config.agent;
    assert_eq!((&*agent.name.text, &*agent.backend.text, &*agent.var_prefix), ("ag", "agents", "my.pfx_1"));
    assert_eq!(agent.hello_timeout, Some(Duration::from_millis(400)));
    assert_eq!(agent.idle_timeout, Some(Duration::from_secs(120)));
    assert_eq!(agent.processing_timeout, Some(Duration::from_millis(2)));
    assert_eq!((agent.frame_size_bytes_max, agent.waiting_frames_max), (256, 3));
    assert_eq!((agent.connect_rate_max, agent.error_rate_max), (7, 8));
    assert!(!agent.async_acks && !agent.pipelining && !agent.send_fragments);
    assert!(agent.dontlog_normal && agent.continue_on_error && agent.force_set_var);
    assert_eq!(agent.set_on_error.as_deref(), Some("err"));
    assert_eq!(agent.set_process_time.as_deref(), Some("ptime"));
    assert_eq!(agent.set_total_time.as_deref(), Some("ttime"));
    assert_eq!(agent.fail, FailMode::Closed(429));
    assert_eq!(agent.register_var_names.iter().map(|n| &*n.text).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(agent.log.len(), 1);
    assert_eq!(agent.log[0].words, ["127.0.0.1:514", "local0"]);
    let m1 = config.message("m1").unwrap();
    let args: Vec<_> = m1.args.iter().map(|a| (&*a.name, &*a.sample)).collect();
    assert_eq!(args, [("ip", "src"), ("", "path"), ("a", "str(x=y)"), ("last", "int(1)")]);
    assert_eq!((m1.args[1].place.line_no, m1.args[1].place.word), (34, 2));
    assert_eq!(m1.acls.len(), 2);
    let rule = m1.event.as_ref().unwrap();
    assert_eq!(rule.event, Event::FrontendHttpRequest);
    let condition = rule.condition.as_ref().unwrap();
    assert_eq!((condition.unless, condition.words.words.join(" ")), (false, "local { path_beg /x }".into()));
    assert_eq!((condition.words.place.line_no, condition.words.place.word), (39, 3));
    assert_eq!(config.warnings.len(), 1, "m3 has no event");
    let names = |event, listen| config.messages_on(event, listen).map(|m| &*m.name.text).collect::<Vec<_>>();
    assert_eq!(names(Event::FrontendHttpRequest, false), ["m1"]);
    assert_eq!(names(Event::BackendHttpRequest, false), ["m2"]);
    assert_eq!(names(Event::FrontendHttpRequest, true), ["m1", "m2"]);
    assert!(names(Event::BackendHttpRequest, true).is_empty());
    assert_eq!(config.group("g").unwrap().map(|m| &*m.name.text).collect::<Vec<_>>(), ["mg", "m1"]);
    assert!(config.group("h").is_none());
}

#[test]
fn defaults_are_haproxys() {
    let text =
        "spoe-agent ag\n messages m\n use-backend b\nspoe-message m\n event on-tcp-response\n[e]\njunk";
    let config = parse(text, None).unwrap();
    let agent = config.agent.engine_config(3);
    assert_eq!(config.agent.var_prefix, "ag");
    assert_eq!((agent.frame_size_bytes_max, agent.waiting_frames_max, agent.spread), (16_380, 20, 3));
    assert!(agent.pipelining && agent.async_acks && agent.send_fragments);
    assert_eq!((agent.connect_rate_max, agent.error_rate_max, agent.processing_timeout), (0, 0, None));
    assert_eq!(config.agent.fail, FailMode::Open);
    assert_eq!(config.warnings.len(), 1, "no timeout processing");
}

#[test]
fn a_wrong_line_is_named_with_its_word() {
    // Each stands in the section named, after what makes the rest of the file right.
    for (section, line, word, message) in [
        (
            "agent",
            "mesages m",
            0,
            "unknown keyword 'mesages' in a 'spoe-agent' section; did you mean 'messages'?",
        ),
        ("agent", "messages", 0, "'messages' expects at least one argument"),
        ("agent", "messages m", 1, "message 'm' is already used"),
        ("agent", "messages n n", 2, "message 'n' is already used"),
        ("agent", "messages nope", 1, "undefined SPOE message 'nope'"),
        ("agent", "groups nope", 1, "undefined SPOE group 'nope'"),
        ("agent", "use-backend", 0, "'use-backend' expects a backend's name"),
        ("agent", "use-backend a b", 2, "'use-backend' takes one argument only"),
        ("agent", "timeout", 0, "'timeout' expects 'hello', 'idle' or 'processing', and a time"),
        ("agent", "timeout foo 1s", 1, "'timeout' knows 'hello', 'idle' and 'processing', not 'foo'"),
        ("agent", "timeout hello", 1, "'timeout hello' expects a time"),
        ("agent", "timeout hello 1x", 2, "'timeout hello': 'x' is not a unit of time (us, ms, s, m, h, d)"),
        ("agent", "timeout hello x", 2, "'timeout hello': 'x' is not a time"),
        ("agent", "timeout idle 25d", 2, "'timeout idle': '25d' is longer than 2147483647 ms"),
        ("agent", "timeout idle 1s 2s", 3, "'timeout idle' takes one argument only"),
        ("agent", "max-frame-size 255", 1, "'max-frame-size' expects a number from 256 to 16380, not '255'"),
        (
            "agent",
            "max-frame-size 16381",
            1,
            "'max-frame-size' expects a number from 256 to 16380, not '16381'",
        ),
        ("agent", "max-frame-size big", 1, "'max-frame-size' expects a number from 256 to 16380, not 'big'"),
        ("agent", "max-waiting-frames 0", 1, "'max-waiting-frames' expects a number from 1, not '0'"),
        ("agent", "maxconnrate 1 2", 2, "'maxconnrate' takes one argument only"),
        ("agent", "maxerrrate -1", 1, "'maxerrrate' expects a number from 0, not '-1'"),
        ("agent", "option", 0, "'option' expects an option's name"),
        (
            "agent",
            "option pipelinig",
            1,
            "unknown option 'pipelinig' in a 'spoe-agent' section; did you mean 'pipelining'?",
        ),
        ("agent", "option async now", 2, "'option async' takes no argument"),
        ("agent", "option set-on-error", 1, "'option set-on-error' expects a name"),
        (
            "agent",
            "option var-prefix a-b",
            2,
            "'option var-prefix' takes letters, digits, '_' and '.' only, not 'a-b'",
        ),
        ("agent", "option fail", 1, "'option fail' expects 'open' or 'closed [status]'"),
        (
            "agent",
            "option fail closed 200",
            3,
            "'option fail closed' expects a status from 400 to 599, not '200'",
        ),
        ("agent", "no option continue-on-error", 0, "'option continue-on-error' cannot be negated"),
        ("agent", "no option", 1, "'option' expects an option's name"),
        ("agent", "no messages", 0, "'no' goes with 'option' and 'log' only"),
        ("agent", "register-var-names a-b", 1, "'a-b' cannot name a variable"),
        ("agent", "spoe-agent again", 0, "a scope has one agent, and 'ag' is it already"),
        ("message", "arg x", 0, "unknown keyword 'arg' in a 'spoe-message' section; did you mean 'args'?"),
        ("message", "args", 0, "'args' expects at least one argument"),
        ("message", "args a= b", 1, "argument 'a' has no sample"),
        ("message", "acl or path /", 1, "an acl cannot be called 'or'"),
        ("message", "event on-nothing", 1, "unknown event 'on-nothing'"),
        (
            "message",
            "event on-fronted-http-request",
            1,
            "unknown event 'on-fronted-http-request'; did you mean 'on-frontend-http-request'?",
        ),
        (
            "agent",
            "timeout procesing 1s",
            1,
            "'timeout' knows 'hello', 'idle' and 'processing', not 'procesing'; did you mean 'processing'?",
        ),
        ("message", "event on-http-response when x", 2, "'event' expects 'if' or 'unless', not 'when'"),
        ("message", "event on-http-response if", 2, "'if' expects a condition"),
        ("message", "spoe-message m", 1, "message 'm' is defined already"),
        ("message", "spoe-message", 0, "'spoe-message' expects a name"),
        ("message", "spoe-message a b", 2, "'spoe-message' takes one argument only"),
        ("message", "spoe-message a/b", 1, "character '/' is not permitted in the name 'a/b'"),
        (
            "group",
            "message n",
            0,
            "unknown keyword 'message' in a 'spoe-group' section; did you mean 'messages'?",
        ),
        ("group", "messages nope", 1, "undefined SPOE message 'nope'"),
        ("group", "spoe-group g", 1, "group 'g' is defined already"),
        ("group", "spoe-group h\nmessages m", 1, "message 'm' already belongs to the SPOE group 'g'"),
    ] {
        let put = |name: &str| if section == name { line } else { "" };
        let text = format!(
            "spoe-agent ag\nmessages m\nuse-backend b\ntimeout processing 1s\n{}\nspoe-message n\nevent on-http-response\n\
             spoe-message m\nevent on-http-response\n{}\nspoe-group g\nmessages m\n{}\n",
            put("agent"),
            put("message"),
            put("group"),
        );
        let errors = SpoeConfig::parse(lines(&text), None, 16_380).expect_err(line).0;
        assert_eq!(errors.len(), 1, "{line}: {errors:?}");
        assert_eq!((errors[0].message.as_str(), errors[0].place.word), (message, word), "{line}");
        let first = match section {
            "agent" => 5,
            "message" => 10,
            _ => 13,
        };
        let at = first + line.lines().count() - 1;
        assert_eq!((errors[0].place.line_no, &*errors[0].place.file), (at, "spoe.cfg"), "{line}");
    }
}

#[test]
fn all_errors_of_a_file_are_reported() {
    let errors = parse("[e]\nspoe-agent a-b\nfoo\noption bar\nspoe-message m\nbaz\n", Some("e")).unwrap_err();
    assert_eq!(
        errors.lines().collect::<Vec<_>>(),
        [
            "[spoe.cfg:3] : unknown keyword 'foo' in a 'spoe-agent' section",
            "[spoe.cfg:4] : unknown option 'bar' in a 'spoe-agent' section",
            "[spoe.cfg:6] : unknown keyword 'baz' in a 'spoe-message' section",
            "[spoe.cfg:2] : 'a-b' cannot prefix variables: use 'option var-prefix'",
            "[spoe.cfg:2] : agent 'a-b' has no 'use-backend'",
        ]
    );
}

#[test]
fn a_scope_without_agent_is_refused() {
    let file = "[e]\nspoe-agent a\nuse-backend b\n";
    for (engine, message) in [
        (None, "no SPOE agent found in file outside of scopes"),
        (Some("f"), "no SPOE agent found in file in scope '[f]'"),
    ] {
        assert_eq!(parse(file, engine).unwrap_err(), format!("[spoe.cfg:3] : {message}"));
    }
    assert!(parse("", None).is_err());
    assert!(parse("foo\nspoe-agent a\nuse-backend b\n", None).unwrap_err().contains("outside of a section"));
    assert!(
        parse("[e]\n[e] x\nspoe-agent a\nuse-backend b\n", Some("e")).unwrap_err().contains("scope line")
    );
}
