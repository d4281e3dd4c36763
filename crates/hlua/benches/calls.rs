//! What one call costs: nanoseconds, on a host that does next to nothing itself.
//!
//! `cargo bench -p hlua --bench calls [NAME]`; with a name only that row runs, for a profiler.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

use std::any::Any;
use std::hint::black_box;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use hlua::host::{
    AppletHttp, AppletIo, AppletPart, Catalog, Core, HostResult, Http, Level, SampleId, Side, Stream, Txn,
    Value,
};
use hlua::{Config, FunctionKind, Lent, Preemption, Runtime, ServiceMode};

const SCRIPT: &str = r#"
core.register_action("empty", {"http-req"}, function(txn) end)
core.register_action("var", {"http-req"}, function(txn) txn:set_var("txn.a", "value") end)
core.register_action("three", {"http-req"}, function(txn)
  local host = txn.sf:req_hdr("host")
  txn:set_var("txn.host", host)
  txn.http:req_set_header("x-host", host)
end)
core.register_action("headers", {"http-req"}, function(txn)
  local h = txn.http:req_get_headers()
  txn:set_var("txn.host", h["host"][0])
end)
core.register_action("yield", {"http-req"}, function(txn) for i = 1, 10 do core.yield() end end)
core.register_action("loop", {"http-req"}, function(txn) local n = 0 for i = 1, 100000 do n = n + i end end)
core.register_fetches("fetch", function(txn) return txn.sf:req_hdr("host") end)
core.register_converters("conv", function(value) return value .. "!" end)
core.register_service("hello", "http", function(applet)
  local text = "Hello World !"
  applet:set_status(200)
  applet:add_header("content-length", string.len(text))
  applet:add_header("content-type", "text/plain")
  applet:start_response()
  applet:send(text)
end)
"#;

struct Worker;

impl Core for Worker {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn log(&self, _level: Level, _message: &str) {}
    fn catalog(&self) -> Option<&dyn Catalog> {
        Some(self)
    }
}

impl Catalog for Worker {
    fn fetch(&self, lua_name: &str) -> Option<SampleId> {
        (lua_name == "req_hdr").then_some(SampleId(0))
    }
    fn converter(&self, _lua_name: &str) -> Option<SampleId> {
        None
    }
}

#[derive(Default)]
struct Null {
    sent: usize,
}

impl Stream for Null {
    fn fetch(&mut self, _fetch: SampleId, args: &[Value<'_>]) -> HostResult<Option<Value<'_>>> {
        black_box(args);
        Ok(Some("www.example.com".into()))
    }
    fn set_var(&mut self, name: &[u8], value: Value<'_>, _if_exists: bool) -> bool {
        black_box((name, value));
        true
    }
    fn unset_var(&mut self, _name: &[u8]) -> bool {
        true
    }
    fn var(&mut self, _name: &[u8]) -> Option<Value<'_>> {
        None
    }
    fn log(&mut self, _level: Level, _message: &str) {}
}

impl Txn for Null {
    fn http(&mut self) -> Option<&mut dyn Http> {
        Some(self)
    }
}

impl Http for Null {
    fn headers(&mut self, _side: Side, visit: &mut dyn FnMut(&[u8], &[u8])) -> HostResult<()> {
        for (name, value) in [("Host", "www.example.com"), ("User-Agent", "bench"), ("Accept", "*/*")] {
            visit(name.as_bytes(), value.as_bytes());
        }
        Ok(())
    }
    fn add_header(&mut self, _side: Side, name: &[u8], value: &[u8]) -> HostResult<()> {
        black_box((name, value));
        Ok(())
    }
    fn del_header(&mut self, _side: Side, name: &[u8]) -> HostResult<()> {
        black_box(name);
        Ok(())
    }
}

impl AppletIo for Null {
    fn poll_fill(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(Ok(&[]))
    }
    fn consume(&mut self, _len: usize) {}
    fn poll_send(&mut self, _cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.sent += data.len();
        Poll::Ready(Ok(data.len()))
    }
}

impl AppletHttp for Null {
    fn request(&self, _part: AppletPart) -> Option<&[u8]> {
        Some(b"/")
    }
    fn length(&self) -> u64 {
        0
    }
    fn headers(&self, _visit: &mut dyn FnMut(&[u8], &[u8])) {}
    fn set_status(&mut self, _status: u16, _reason: Option<&[u8]>) {}
    fn add_header(&mut self, name: &[u8], value: &[u8]) -> HostResult<()> {
        black_box((name, value));
        Ok(())
    }
    fn start_response(&mut self) -> HostResult<()> {
        Ok(())
    }
}

fn main() {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    for (mode, preemption) in [("no hook", Preemption::OnDemand), ("count hook", Preemption::Count(10_000))] {
        let config = Config { preemption, ..Config::default() };
        let runtime = Runtime::per_thread(&config, Rc::new(Worker), 1).expect("a VM");
        runtime.load_source("bench", SCRIPT.as_bytes(), &[]).expect("the script loads");
        for function in runtime.registry().functions {
            if only.as_ref().is_none_or(|only| *only == function.name) {
                let ns = measure(&runtime, &function.kind, &function.name);
                println!("{mode:10} {:10} {:9} {ns:10.1} ns", function.kind.to_string(), function.name);
            }
        }
    }
}

/// The best of five rounds, per call.
fn measure(runtime: &Runtime, kind: &FunctionKind, name: &str) -> f64 {
    let site = runtime.call_site(kind, name, &[]).expect("registered");
    let rounds = if name == "loop" { 200 } else { 200_000 };
    let now = Instant::now();
    let mut cx = Context::from_waker(Waker::noop());
    let mut best = f64::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        let mut held: Option<Box<dyn Any>> = Some(Box::new(Null::default()));
        for _ in 0..rounds {
            let null = held.take().expect("held").downcast::<Null>().expect("a Null");
            let lent = match kind {
                FunctionKind::Converter => {
                    black_box(runtime.convert(site, "text".into(), now)).expect("converts");
                    held = Some(null);
                    continue;
                }
                FunctionKind::Fetch => {
                    let (txn, value) = runtime.fetch(site, null, now);
                    black_box(value).expect("fetches");
                    held = Some(txn);
                    continue;
                }
                FunctionKind::Service(ServiceMode::Http) => Lent::AppletHttp(null),
                _ => Lent::Txn(null),
            };
            let mut execution = runtime.start(site);
            let mut lent = lent;
            loop {
                let (back, poll) = execution.poll(lent, now, &mut cx);
                lent = back;
                if let Poll::Ready(result) = poll {
                    black_box(result).expect("runs");
                    break;
                }
            }
            held = lent.into_any();
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
    best
}
