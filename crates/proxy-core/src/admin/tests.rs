//! Commands and their answers.

use std::{collections::BTreeMap, fmt::Write as _};

use super::*;
use crate::{
    backend::{
        lb::Balance,
        testing::{Recorder, backend, server, start},
    },
    check::{CheckResult, status::CheckStatus},
    config::{Capabilities, Config, Proxy},
};

struct Scene {
    shared: Shared,
    told: Arc<Recorder>,
    process: ProcessInfo,
    now: Instant,
}

impl Scene {
    /// A frontend, a backend of five kinds of servers, a hashing backend.
    fn new() -> Self {
        let mut front = backend(Balance::RoundRobin, Vec::new());
        front.capabilities = Capabilities { frontend: true, backend: false };
        let front = place(front, 0, "fe");
        let mut servers: Vec<_> = ["s1", "s2", "s3", "s4", "s5"].map(server).to_vec();
        servers[0].weight = 10;
        servers[1].disabled = true;
        servers[1].check = false;
        servers[2].addr = crate::host::Addr::Ip("[::1]:8080".parse().unwrap());
        servers[2].maxconn = 3;
        servers[2].maxqueue = 9;
        servers[2].check = false;
        servers[3].backup = true;
        servers[3].check_port = Some(99);
        servers[4].addr = crate::host::Addr::Unix("/run/s5.sock".into());
        let main = place(backend(Balance::RoundRobin, servers), 1, "be");
        let mut hashed = server("s1");
        hashed.weight = 10;
        hashed.check = false;
        let hash = place(backend(Balance::Source, vec![hashed]), 2, "src");
        assert!(front.default_backend.set(main.clone()).is_ok());
        let told = Arc::new(Recorder::default());
        let backends: BTreeMap<_, _> = [&main, &hash].map(|p| (p.name.clone(), p.clone())).into();
        let config = Config { proxies: vec![front, main, hash], backends, ..Config::default() };
        let now = start();
        let mut process = ProcessInfo::new(now, Duration::from_secs(1_700_000_000));
        process.name = "tidegate".to_owned();
        process.version = "0.1.0".to_owned();
        process.pid = 42;
        process.maxconn = 9985;
        process.node = "vm".to_owned();
        Self {
            shared: Shared {
                config: Arc::new(config),
                observer: told.clone(),
                stopping: Default::default(),
                next_stream: Default::default(),
                counters: Default::default(),
                roll_call: Default::default(),
                proc_vars: Default::default(),
            },
            told,
            process,
            now,
        }
    }

    fn context(&self) -> AdminContext<'_> {
        AdminContext {
            shared: &self.shared,
            worker: None,
            now: self.now,
            wall: Duration::ZERO,
            process: &self.process,
            commands: &[],
        }
    }

    fn ask(&self, line: &str) -> String {
        run(line, AccessLevel::Admin, &self.context()).text
    }

    /// Questions with their answers, line ends made visible where they are missing.
    fn talk(&self, lines: &[&str]) -> String {
        let mut out = String::new();
        for line in lines {
            let answer = self.ask(line);
            let end = if answer.is_empty() || answer.ends_with('\n') { "" } else { "<no line end>\n" };
            let _ = write!(out, "> {line}\n{answer}{end}");
        }
        out
    }

    fn check(&mut self, index: usize, status: CheckStatus, code: u16, info: &str) {
        self.now += Duration::from_secs(1);
        let proxy = &self.shared.config.proxies[1];
        let duration = Duration::from_millis(3);
        let result = CheckResult { agent: false, status, code, info: info.into(), duration };
        proxy.servers[index].apply_check(result, &self.context().change(proxy));
    }
}

fn place(mut proxy: Proxy, id: usize, name: &str) -> Arc<Proxy> {
    proxy.id = id;
    proxy.uuid = u32::try_from(id).unwrap() + 2;
    proxy.name = name.to_owned();
    Arc::new(proxy)
}

#[test]
fn commands_are_cut_at_semicolons_and_words_at_blanks() {
    for (line, expected) in [
        ("show info", &["show info"][..]),
        ("show info;show stat", &["show info", "show stat"]),
        ("show info ; ", &["show info"]),
        (r"set x a\;b;next", &[r"set x a\;b", "next"]),
        (r"a\\;b", &[r"a\\", "b"]),
        ("", &[""]),
    ] {
        assert_eq!(split_commands(line), expected, "{line}");
    }
    assert_eq!(split_words(r"set x  a\;b c\ d \\"), ["set", "x", "a;b", "c d", r"\"]);
    assert!(split_words("  ").is_empty());
}

#[test]
fn servers_are_changed_and_errors_are_haproxys() {
    let scene = Scene::new();
    let text = scene.talk(&[
        "get weight be/s1",
        "set server be/s1 weight 50%",
        "get weight be/s1",
        "set weight be/s1 3000%",
        "get weight be/s1",
        "set server be/s1 weight 257",
        "set server be/s1 weight -1",
        "set server be/s1 weight -5%",
        "set server be/s1 weight abc",
        "set server be/s1 weight 5x",
        "set server be/s1 weight",
        "set server src/s1 weight 5",
        "set server src/s1 weight 0",
        "set server src/s1 weight 100%",
        "get weight be/zz",
        "get weight zz/s1",
        "get weight s1",
        "get weight",
        "set server be/s1",
        "set server be/s1 foo",
        "set server be/s1 state foo",
        "set server be/s1 health foo",
        "set server be/s1 agent up",
        "set server be/s1 addr",
        "set server be/s1 addr foo",
        "set server be/s1 addr 127.0.0.1 port 80",
        "set server be/s1 addr 127.0.0.1 port 81",
        "set server be/s1 addr 10.0.0.1",
        "set server be/s1 addr ::1 port 82",
        "set server be/s1 addr 10.0.0.2 port x",
        "set server be/s1 addr 10.0.0.2 port +1",
        "set server be/s1 check-port 99",
        "set server be/s1 check-port foo",
        "set server be/s1 check-port 70000",
        "set server be/s1 check-port",
        "set server be/s3 check-port 99",
        "set server be/s1 fqdn x",
        "set maxconn server be/s1 10",
        "set maxconn server be/s1 10x",
        "set maxconn server be/s1 x",
        "set maxconn server be/s1",
        "enable health be/s3",
        "disable health be/s1",
        "enable health be/s1",
        "enable agent be/s1",
        "disable agent be/s1",
        "show servers state zz",
        "show cli level",
        "show version",
        "show backend",
    ]);
    insta::assert_snapshot!(text);
    assert_eq!(scene.shared.config.proxies[1].servers[0].addr().to_string(), "[::1]:82");
    assert_eq!(scene.shared.config.proxies[1].servers[0].maxconn(), 10);
}

#[test]
fn states_set_by_command_are_told() {
    let scene = Scene::new();
    let mut log = String::new();
    for line in [
        "set server be/s1 state maint",
        "set server be/s1 state drain",
        "set server be/s1 state ready",
        "disable server be/s1",
        "enable server be/s1",
        "set server be/s1 health down",
        "set server be/s1 health up",
        "set server be/s1 addr 10.0.0.9 port 9",
    ] {
        let answer = scene.ask(line);
        let _ = writeln!(log, "> {line}\n{answer}{}", scene.told.take());
    }
    insta::assert_snapshot!(log);
}

#[test]
fn levels_protect_what_changes() {
    let scene = Scene::new();
    let all = |line: &str| {
        [AccessLevel::User, AccessLevel::Operator, AccessLevel::Admin]
            .map(|level| run(line, level, &scene.context()).text == "Permission denied\n")
    };
    for line in [
        "set server be/s1 state ready",
        "set weight be/s1 1",
        "set maxconn server be/s1 1",
        "enable server be/s1",
        "disable health be/s1",
        "enable agent be/s1",
    ] {
        assert_eq!(all(line), [true, true, false], "{line}");
    }
    for line in ["get weight be/s1", "show stat", "show info", "show servers state", "help"] {
        assert_eq!(all(line), [false; 3], "{line}");
    }
    let stat = |level| run("show stat", level, &scene.context()).text;
    assert!(!stat(AccessLevel::User).contains("127.0.0.1:80"));
    assert!(stat(AccessLevel::Operator).contains(",127.0.0.1:80,"));
}

#[test]
fn server_states_are_dumped_in_version_one() {
    let mut scene = Scene::new();
    scene.check(0, CheckStatus::L7Okd, 200, "");
    scene.check(3, CheckStatus::L4Con, 0, "Connection refused");
    scene.ask("set server be/s5 state drain");
    scene.ask("set server be/s2 state ready");
    scene.now += Duration::from_secs(2);
    insta::assert_snapshot!(scene.talk(&[
        "show servers state",
        "show servers state src",
        "show servers state #3"
    ]));
}

#[test]
fn statistics_have_the_columns_in_order() {
    let mut scene = Scene::new();
    for _ in 0..2 {
        scene.check(0, CheckStatus::L7Okd, 200, "");
    }
    scene.check(0, CheckStatus::L7Sts, 503, "Busy, \"very\"");
    scene.check(3, CheckStatus::L4Con, 0, "Connection refused");
    scene.now += Duration::from_secs(5);
    let proxy = &scene.shared.config.proxies[1];
    proxy.servers[2].traffic.count_response(200);
    proxy.servers[2].traffic.count_response(404);
    proxy.state.fe_sessions.enter();
    let text = scene.ask("show stat");
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), format!("# {},", stat::COLUMNS.join(",")));
    assert!(text.lines().skip(1).all(|line| line.contains(",-,") || line.ends_with(",-,")));
    insta::assert_snapshot!(described(&text));
}

/// A CSV as lines `name=value` of the fields that are there.
fn described(csv: &str) -> String {
    let mut out = String::new();
    for line in csv.lines().skip(1) {
        let mut quoted = false;
        let fields = line.split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let named: Vec<String> = stat::COLUMNS
            .iter()
            .zip(fields)
            .filter(|(name, value)| !value.is_empty() && **name != "-")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let _ = writeln!(out, "{}", named.join(" "));
    }
    out
}

#[test]
fn statistics_can_be_narrowed() {
    let scene = Scene::new();
    let names = |line: &str| -> Vec<String> {
        let text = scene.ask(line);
        text.lines().skip(1).map(|l| l.split(',').take(2).collect::<Vec<_>>().join("/")).collect()
    };
    assert_eq!(names("show stat -1 4 -1").len(), 6);
    assert_eq!(names("show stat be 2 -1"), ["be/BACKEND"]);
    assert_eq!(names("show stat 3 4 1"), ["be/s1"]);
    assert_eq!(names("show stat fe 7 -1"), ["fe/FRONTEND"]);
    assert!(!names("show stat no-maint").contains(&"be/s2".to_owned()));
    assert_eq!(scene.ask("show stat zz 1 1"), "No such proxy.\n");
    assert_eq!(scene.ask("show stat typed"), "'show stat typed' is not supported yet.\n");
}

#[test]
fn info_lists_what_there_is() {
    let mut scene = Scene::new();
    scene.now += Duration::from_secs(93_784);
    insta::assert_snapshot!(scene.ask("show info"));
}

#[test]
fn help_and_unknown_commands_list_what_fits() {
    let scene = Scene::new();
    let own = [Command {
        words: "show events",
        usage: "show events [-w]",
        help: "show what the bus publishes",
        level: AccessLevel::User,
    }];
    let cx = AdminContext { commands: &own, ..scene.context() };
    let mut log = String::new();
    for line in ["help", "help set", "show servers foo", "shw stat", "", "xyzzy"] {
        let answer = run(line, AccessLevel::Admin, &cx);
        let _ = write!(log, "> {line}\n{}", answer.text);
    }
    insta::assert_snapshot!(log);
}

#[test]
fn maps_and_acls_are_shown_and_changed() {
    use crate::{pattern_ref::Output, rules::pattern::Method};
    let scene = Scene::new();
    let patterns = scene.shared.config.patterns.clone();
    let map = |method, output| patterns.map("virt@names", method, output).unwrap();
    let names = map(Method::Str, Output::Str).reference().clone();
    for (key, value) in [("a", "A"), ("b", "B b"), ("b", "again")] {
        names.add(None, key.as_bytes(), Some(value.as_bytes())).unwrap();
    }
    map(Method::Beg, Output::Key);
    let nets = patterns.map("virt@nets", Method::Ip, Output::Int).unwrap().reference().clone();
    nets.add(None, b"10.0.0.0/8", Some(b"8")).unwrap();
    let own = patterns.inline("src", Some(7), Method::Ip, false).unwrap();
    own.load("127.0.0.0/8").unwrap();
    patterns.acl("virt@names", true, Method::Str, true).unwrap();
    patterns.seal();
    let mut log = String::new();
    for line in [
        "show map",
        "show acl",
        "show map virt@names",
        "show acl #7",
        "show map #7",
        "show map @3 #0",
        "get map virt@names b",
        "get map #1 10.1.1.1",
        "get map #1 9.9.9.9",
        "get acl #7 127.1.2.3",
        "get map #1",
        "get acl",
        "add map virt@names c C more",
        "add map virt@names",
        "add map nosuch k v",
        "add acl #7 ::1",
        "add acl #7 zz",
        "add acl virt@names z",
        "add acl #7",
        "add map virt@nets 1.1.1.1 word",
        "show map virt@names",
        "set map virt@names b BB",
        "set map virt@names d D",
        "set map virt@names #0x1 first",
        "set map virt@names #0x99 x",
        "set map virt@names",
        "set map nosuch a b",
        "del map virt@names c",
        "del map virt@names c",
        "del map virt@names",
        "del acl #7 ::1",
        "del acl #7",
        "del acl nosuch x",
        "del map virt@names #0x2",
        "show map virt@names",
        "prepare map virt@names",
        "prepare map",
        "add map @1 virt@names n N",
        "add map @2 virt@names n N",
        "show map @1 virt@names",
        "commit map virt@names",
        "commit map @2 virt@names",
        "commit map @1 nosuch",
        "commit map @1 virt@names",
        "commit map @1 virt@names",
        "show map",
        "show map virt@names",
        "clear map",
        "clear acl",
        "clear map nosuch",
        "clear acl #7",
        "show acl #7",
        "clear map @9 virt@names",
        "clear map virt@names",
        "show map virt@names",
    ] {
        let _ = write!(log, "> {line}\n{}", scene.ask(line));
    }
    let payload = "k1 v1\n\n  k2   v2 with blanks \r\n";
    let answer = run_with_payload("add map virt@names", Some(payload), AccessLevel::User, &scene.context());
    let _ = write!(log, "> payload\n{}{}", answer.text, scene.ask("show map virt@names"));
    let answer = run_with_payload("add map virt@names", Some("alone\n"), AccessLevel::User, &scene.context());
    let _ = write!(log, "> payload\n{}", answer.text);
    insta::assert_snapshot!(log);
}

#[test]
fn stick_tables_are_shown_and_changed() {
    use crate::stick_table::{Column, DataType, Key, KeyType, StickTable, StickTableConfig, Tracked};
    let mut scene = Scene::new();
    let tables = scene.shared.config.tables.clone();
    let add = |name: &str, key_type, columns: &[Column]| {
        let (name, columns) = (name.to_owned(), columns.to_vec());
        let expire = Some(Duration::from_secs(30));
        tables.add(StickTable::new(StickTableConfig {
            name,
            key_type,
            size: 10,
            expire,
            nopurge: false,
            columns,
        }))
    };
    let rate = Column::new(DataType::HttpReqRate, 1, 10_000);
    let counters = [Column::new(DataType::Gpc0, 1, 0), rate, Column::new(DataType::ConnCur, 1, 0)];
    assert!(add("web", KeyType::Ipv4, &counters));
    assert!(!add("web", KeyType::Ipv4, &[]));
    assert!(add("words", KeyType::String(5), &[Column::new(DataType::Gpt, 2, 0)]));
    let web = tables.find("web").unwrap();
    let held = Tracked::start(&web, &Key::Ipv4([127, 0, 0, 1].into()), scene.now).unwrap();
    let mut log = String::new();
    for line in [
        "show table",
        "show table nosuch",
        "show table web",
        "show table web key",
        "show table web key zz",
        "show table web foo",
        "set table",
        "set table nosuch",
        "set table web",
        "set table web key",
        "set table web key 10.0.0.1 data.gpc0 5 data.http_req_rate 8",
        "set table web key 10.0.0.2 data.gpc0 1",
        "set table web key 10.0.0.2 data.gpc0",
        "set table web key 10.0.0.2 data.gpc0 x",
        "set table web key 10.0.0.2 foo 1",
        "set table web key 10.0.0.2 data.nosuch 1",
        "set table web key 10.0.0.2 data.gpt0 1",
        "set table web key zz data.gpc0 1",
        "set table web foo",
        "set table web data.gpc0 gt 1",
        "show table web",
        "show table web data.gpc0 gt 1 data.http_req_rate le 8",
        "show table web data.gpc0",
        "show table web data.gpc0 gt",
        "show table web data.nosuch gt 1",
        "show table web data.gpt0 gt 1",
        "show table web key 10.0.0.2",
        "show table web ptr 0x2",
        "set table words key abcdefgh data.gpt[1] 7",
        "set table words key abc data.gpt[2] 7",
        "show table words",
        "clear table",
        "clear table nosuch",
        "clear table web foo",
        "clear table web key 127.0.0.1",
        "clear table web key 10.0.0.2",
        "clear table web data.gpc0 gt 3",
        "show table web",
        "clear table words",
        "show table",
    ] {
        let _ = write!(log, "> {line}\n{}", scene.ask(line));
    }
    scene.now += Duration::from_secs(5);
    let _ = write!(log, "> 5 s later\n{}", scene.ask("show table web"));
    drop(held);
    scene.now += Duration::from_secs(31);
    let _ = write!(log, "> 31 s later\n{}", scene.ask("show table web"));
    let user = |line| run(line, AccessLevel::User, &scene.context()).text;
    let _ = write!(log, "> as a user\n{}{}", user("show table web"), user("clear table web"));
    insta::assert_snapshot!(log);
}
