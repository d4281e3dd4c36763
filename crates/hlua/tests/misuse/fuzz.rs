//! Every registered entry, with random arguments, in every context: errors, never a panic.

use hlua::host::Side;
use hlua::host::memory::{MemoryAppletHttp, MemoryAppletTcp};
use hlua::reference::{Entry, EntryKind, entries};
use hlua::{Callback, Config, FunctionKind, Lent};
use proptest::prelude::*;

use crate::bench::{ACTION, Bench, HTTP, TCP, get, stick_table};

/// How a script comes by an object of a class; the main table of a library is its name.
fn object(class: &str) -> &'static str {
    match class {
        "core" => "core",
        "act" => "act",
        "json" => "require('json')",
        "Map" => "Map",
        "Regex" => "Regex",
        "TXN" => "lent",
        "Fetches" => "lent.f",
        "Converters" => "lent.c",
        "Channel" => "lent.req",
        "HTTP" => "lent.http",
        "Reply" => "lent:reply()",
        "AppletHTTP" | "AppletTCP" => "lent",
        "Socket" => "core.tcp()",
        "HTTPClient" => "core.httpclient()",
        "Proxy" => "core.backends['be']",
        "ProxyList" => "core.backends",
        "Server" => "core.backends['be'].servers['s1']",
        "ServerList" => "core.backends['be'].servers",
        "Listener" => "core.frontends['fe'].listeners['sock-1']",
        "EventSub" => "core.event_sub({'SERVER_UP'}, print)",
        "Concat" => "core.concat()",
        "Queue" => "core.queue()",
        "Patref" => "core.get_patref('map')",
        "Address" => "core.parse_addr('::1')",
        "StickTable" => "core.backends['be'].stktable",
        "ProxyMailers" => "core.backends['be']:get_mailers()",
        "CertCache" => "CertCache",
        "filter" => "filter",
        "HTTPMessage" => "(message or lent)",
        _ => "nil",
    }
}

/// Random values as Lua writes them.
fn value() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "nil",
        "true",
        "false",
        "0",
        "-1",
        "1.5",
        "0/0",
        "1/0",
        "2^53",
        "math.mininteger",
        "math.maxinteger",
        "''",
        "'x'",
        "'SERVER_UP'",
        "'127.0.0.1'",
        "'map'",
        "'http'",
        "'txn.a'",
        "'\\0\\r\\n'",
        "{}",
        "{1, 2}",
        "{'SERVER_UP'}",
        "{[0] = 1}",
        "{[0] = 2^40}",
        "{url = 'http://x'}",
        "setmetatable({}, {__index = error})",
        "print",
        "coroutine.create(print)",
        "io.stdout",
        "object",
        "lent",
        "string.rep('y', 5000)",
        "setmetatable({}, getmetatable(object))",
    ]);
    prop_oneof![
        4 => fixed.prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|int| int.to_string()),
        1 => any::<f64>().prop_filter("a literal", |n| n.is_finite()).prop_map(|n| format!("({n:e})")),
        1 => prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| {
            let escaped: String = bytes.iter().map(|byte| format!("\\{byte:03}")).collect();
            format!("'{escaped}'")
        }),
    ]
}

/// A call of an entry, protected, in a coroutine of its own that is dropped where it waits.
fn call() -> impl Strategy<Value = String> {
    let called = |entry: &Entry| {
        matches!(entry.kind, EntryKind::Function | EntryKind::Method) && entry.class != "coroutine"
    };
    let all: Vec<Entry> = entries().into_iter().filter(called).collect();
    let with_self = prop::bool::weighted(0.9);
    (prop::sample::select(all), prop::collection::vec(value(), 0..6), with_self).prop_map(
        |(entry, args, with_self)| {
            let Entry { class, name, kind, .. } = entry;
            let mut args = args;
            if kind == EntryKind::Method && with_self {
                args.insert(0, "object".to_owned());
            }
            let object = object(class);
            let function = if name.starts_with("__") {
                format!("debug.getmetatable(object)['{name}']")
            } else {
                format!("object['{name}']")
            };
            format!("pcall(function() local object = {object} return {function}({}) end)", args.join(", "))
        },
    )
}

fn run(calls: &[String]) {
    let body = calls.join("\n");
    let script = format!(
        "local function body(lent, ...)\n{body}\nend\n\
         core.register_action('x', {{'http-req'}}, body)\ncore.register_fetches('x', body)\n\
         core.register_converters('x', body)\ncore.register_service('x', 'http', body)\n\
         core.register_service('y', 'tcp', body)\ncore.register_init(body)\ncore.register_task(body)\n\
         core.event_sub({{'SERVER_UP'}}, body)\n\
         F = {{}}\nF.__index = F\nfunction F:new() return setmetatable({{}}, F) end\n\
         local function seen(self, txn, m) message = m body(txn, m) message = nil end\n\
         F.http_headers = seen\nF.http_payload = seen\nF.http_end = seen\nF.start_analyze = seen\n\
         core.register_filter('x', F, function(class) return class end)\nbody()"
    );
    let bench = Bench::empty(&Config { session_timeout: None, service_timeout: None, ..Config::default() });
    bench.core.proxies.add("fe", (true, false), &[]);
    bench.core.proxies.add("be", (false, true), &[("s1", "127.0.0.1:80")]);
    bench.core.patterns.add_map("map", &[("a", "1")]);
    bench.core.proxies.add_stick_table("be", stick_table());
    let mut said = Vec::new();
    let mut note =
        |what: &str, error: Option<String>| said.extend(error.map(|text| format!("{what}: {text}")));
    note("body", bench.load(&script).err().map(|error| error.to_string()));
    note("init", bench.runtime.run_init().err().map(|error| error.to_string()));
    note("tasks", bench.runtime.start_tasks().err().map(|error| error.to_string()));
    bench.core.run_tasks();
    let action = FunctionKind::Action { contexts: Vec::new(), nb_args: 0 };
    for (kind, name, lent) in [
        (&action, "x", Lent::Txn(get())),
        (&HTTP, "x", Lent::AppletHttp(MemoryAppletHttp::new("GET", "/", &[("a", "b")], &["body"]))),
        (&TCP, "y", Lent::AppletTcp(MemoryAppletTcp::new(&["line\n"]))),
    ] {
        let Ok(site) = bench.runtime.call_site(kind, name, &[]) else { continue };
        let ended = bench.core.try_block_on(&mut bench.runtime.start(site), lent).1;
        note(name, ended.and_then(Result::err).map(|error| error.to_string()));
    }
    let now = bench.now();
    if let Ok(site) = bench.runtime.call_site(&FunctionKind::Fetch, "x", &[]) {
        note("fetch", bench.runtime.fetch(site, get(), now).1.err().map(|error| error.to_string()));
    }
    if let Ok(site) = bench.runtime.call_site(&FunctionKind::Converter, "x", &[]) {
        note("converter", bench.runtime.convert(site, "in".into(), now).err().map(|error| error.to_string()));
    }
    if bench.runtime.declare_filter(0, "x", &[]).is_ok()
        && let Ok(Some(filter)) = bench.runtime.open_filter(0)
    {
        for callback in
            [Callback::StartAnalyze, Callback::HttpHeaders, Callback::HttpPayload, Callback::HttpEnd]
        {
            for side in [Side::Request, Side::Response] {
                let mut txn = get();
                txn.show_payload(side, b"payload", callback == Callback::HttpEnd);
                let (_, answer) = filter.call(callback, side, txn, now);
                note("filter", answer.err().map(|error| error.to_string()));
            }
        }
    }
    said.extend(bench.core.take_log());
    said.extend(bench.core.take_failures().into_iter().map(|failure| failure.message));
    // The VM is usable whatever happened in it.
    bench.load("core.register_action('after', {'http-req'}, function(txn) core.Info('after') end)").unwrap();
    let site = bench.runtime.call_site(&ACTION, "after", &[]).unwrap();
    bench.core.block_on(&mut bench.runtime.start(site), Lent::Txn(get())).1.unwrap();
    let defect = said.iter().find(|text| text.contains("internal error"));
    assert!(defect.is_none(), "{defect:?}\n{script}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_call_panics_in_any_context(calls in prop::collection::vec(call(), 1..40)) {
        run(&calls);
    }
}
