//! A Lua host with a fake TXN: runs the functions of a script on a made-up request and shows what they did.
//!
//! `cargo run -p hlua --example fake_txn [SCRIPT]`
#![expect(clippy::disallowed_methods, reason = "this program is its own host: its clock is the real one")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use hlua::host::{Core, Level, Stream, Txn, Value};
use hlua::{Config, FunctionKind, Lent, Runtime};

const SCRIPT: &str = r#"
core.register_action("greet", {"http-req"}, function(txn)
  local name = txn:get_var("req.name") or "nobody"
  txn:set_var("txn.greeting", "hello " .. name)
  txn:Info("greeted " .. name)
end)
core.register_fetches("length", function(txn) return #txn:get_var("req.name") end)
"#;

/// The worker: a clock and a log are all a host must have.
struct Terminal;

impl Core for Terminal {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn log(&self, level: Level, message: &str) {
        println!("[{level:?}] {message}");
    }
}

/// A stream of nothing but variables.
#[derive(Default)]
struct FakeTxn {
    variables: BTreeMap<Vec<u8>, Value<'static>>,
    log: RefCell<Vec<String>>,
}

impl Stream for FakeTxn {
    fn set_var(&mut self, name: &[u8], value: Value<'_>, if_exists: bool) -> bool {
        if if_exists && !self.variables.contains_key(name) {
            return false;
        }
        self.variables.insert(name.to_vec(), value.into_owned());
        true
    }

    fn unset_var(&mut self, name: &[u8]) -> bool {
        self.variables.remove(name).is_some()
    }

    fn var(&mut self, name: &[u8]) -> Option<Value<'_>> {
        self.variables.get(name).cloned()
    }

    fn log(&mut self, _level: Level, message: &str) {
        self.log.borrow_mut().push(message.to_string());
    }
}

impl Txn for FakeTxn {}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::per_thread(&Config::default(), Rc::new(Terminal), 1)?;
    match std::env::args_os().nth(1) {
        Some(path) => runtime.load_file(path.as_ref(), &[])?,
        None => runtime.load_source("built-in", SCRIPT.as_bytes(), &[])?,
    }
    for function in runtime.registry().functions {
        let site = runtime.call_site(&function.kind, &function.name, &[])?;
        let mut txn = Box::new(FakeTxn::default());
        txn.set_var(b"req.name", "world".into(), false);
        match function.kind {
            FunctionKind::Action { .. } => run_action(&runtime, site, &function.name, txn),
            FunctionKind::Fetch => {
                let (_, result) = runtime.fetch(site, txn, Instant::now());
                println!("fetch {}: {result:?}", function.name);
            }
            other => println!("{other} {}: not shown here", function.name),
        }
    }
    Ok(())
}

/// Polls until it ends; a program with a scheduler would come back when it is woken.
fn run_action(runtime: &Runtime, site: hlua::CallSite, name: &str, txn: Box<FakeTxn>) {
    let mut execution = runtime.start(site);
    let mut lent = Lent::Txn(txn);
    loop {
        let cx = &mut Context::from_waker(Waker::noop());
        let (back, poll) = execution.poll(lent, Instant::now(), cx);
        lent = back;
        if let Poll::Ready(result) = poll {
            println!("action {name}: {result:?}");
            break;
        }
    }
    if let Some(Ok(txn)) = lent.into_any().map(|any| any.downcast::<FakeTxn>()) {
        for (variable, value) in &txn.variables {
            println!("  {} = {value:?}", String::from_utf8_lossy(variable));
        }
        for line in txn.log.borrow().iter() {
            println!("  log: {line}");
        }
    }
}
