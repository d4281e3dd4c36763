//! Every function and method with every kind of argument in every place: errors, never a panic.

use hlua::host::memory::{MemoryAppletHttp, MemoryAppletTcp, MemoryTxn};
use hlua::{Config, Lent, MemoryPool};

use crate::bench::{Bench, HTTP, TCP, get, stick_table};

/// Calls all methods of an object with 0 to 4 arguments from a list of awkward values, each call in its own
/// coroutine that is dropped if it waits.
const TORTURE: &str = r##"
    local skip = { sleep = true, msleep = true, register_task = true, done = true, wait = true, pop_wait = true }
    local function torture(what, object, seed)
      if type(what) ~= "table" then return end
      local values = { object, "", "127.0.0.1", "\0\r\n", "x-name", -1, 0, 2^53, 1.5, 0/0, math.mininteger, math.maxinteger,
        true, false, {}, {"SERVER_UP"}, {{}}, {[0] = 1}, print, coroutine.create(print), io.stdout, core.concat(), string.rep("y", 300) }
      local function pick() seed = (seed * 1103515245 + 12345) % 2147483648 return values[seed % (#values + 1)] end
      local names = {}
      for name, value in pairs(what) do if type(value) == "function" and not skip[name] then names[#names + 1] = name end end
      table.sort(names)
      for _, name in ipairs(names) do
        for round = 1, 40 do
          local args = {}
          for i = 1, round % 5 do args[i] = pick() end
          local self = object
          if round % 7 == 0 then self = pick() end
          local ok, message = pcall(what[name], self, table.unpack(args, 1, round % 5))
          if not ok and tostring(message):find("internal error") then error(name .. ": " .. message) end
        end
      end
    end
    local function methods(object) return debug.getmetatable(object).__index end
    local map = Map.new("m.map")
    local function references()
      local ref = core.get_patref("m.map")
      for name in pairs({ add = 1, add_bulk = 1, set = 1, del = 1, prepare = 1, commit = 1, giveup = 1, event_sub = 1 }) do
        for _, value in ipairs({ ref, "", -1, 1.5, {}, {{}}, {a = "b"}, {1, 2}, print, true }) do
          pcall(ref[name], ref) pcall(ref[name], ref, value) pcall(ref[name], ref, value, value) pcall(ref[name], value, "k", "v", value)
        end
      end
      local step = pairs(ref)
      pcall(step, 1) pcall(function() return ref[{}], ref[nil], ref[1] end)
    end
    local function all(seed, ...)
      for i = 1, select("#", ...) do
        local object = select(i, ...)
        torture(methods(object), object, seed + i)
        torture(debug.getmetatable(object), object, seed + i)
      end
      torture(core, "x", seed) torture(act, 1, seed) torture(Map, "m.map", seed) torture(CertCache, {}, seed) torture(filter, {}, seed) references()
    end
    local function objects()
      local s = core.backends["be"].servers["s1"]
      return core.tcp(), core.concat(), s, s:get_proxy(), core.frontends["fe"].listeners["sock-1"], core.event_sub({"SERVER_UP"}, print), core.queue(), select(2, Regex.new("(a)b", true)), map,
        s:get_proxy().stktable, core.httpclient(), core.parse_addr("::1"), core.get_patref("m.map"), core.backends, s:get_proxy().servers
    end
    for seed = 1, 3 do
      core.register_action("a" .. seed, {"http-req"}, function(txn)
        all(seed * 77, txn, txn.http, txn.req, txn.res, txn:reply(), objects())
        core.Info("through")
      end)
      core.register_service("h" .. seed, "http", function(applet) all(seed * 31, applet, objects()) core.Info("through") end)
      core.register_service("t" .. seed, "tcp", function(applet) all(seed * 13, applet, objects()) core.Info("through") end)
    end
"##;

fn torture(config: &Config) {
    let bench = Bench::empty(config);
    bench.core.patterns.add_map("m.map", &[("a", "b")]);
    bench.load(TORTURE).expect("the script loads");
    bench.core.proxies.add("fe", (true, false), &[]);
    bench.core.proxies.add("be", (false, true), &[("s1", "127.0.0.1:80")]);
    bench.core.proxies.add_stick_table("be", stick_table());
    let mut through = 0;
    for seed in 1..=3 {
        let http = Lent::AppletHttp(MemoryAppletHttp::new("GET", "/", &[("a", "b")], &["body"]));
        let tcp = Lent::AppletTcp(MemoryAppletTcp::new(&["line\n", "rest"]));
        let results = [
            bench.action(&format!("a{seed}"), get()).1,
            bench.action(&format!("a{seed}"), MemoryTxn::tcp(b"input\n")).1,
            bench.service::<MemoryAppletHttp>(&HTTP, &format!("h{seed}"), http).1,
            bench.service::<MemoryAppletTcp>(&TCP, &format!("t{seed}"), tcp).1,
        ];
        for result in results {
            if let Err(error) = result {
                let text = error.to_string();
                assert!(!text.contains("internal error"), "{text}");
            }
        }
        through += bench.core.take_log().iter().filter(|line| line.contains("through")).count();
    }
    assert!(config.memory.is_some() || through >= 9, "{through}");
}

#[test]
fn awkward_arguments_never_panic() {
    torture(&Config {
        session_timeout: None,
        service_timeout: None,
        burst_timeout: None,
        ..Config::default()
    });
}

#[test]
fn awkward_arguments_under_a_memory_cap_never_panic() {
    for kilobytes in [300, 500, 900, 2000] {
        let memory = Some(MemoryPool::new(kilobytes * 1000));
        torture(&Config { memory, session_timeout: None, service_timeout: None, ..Config::default() });
    }
}
