//! Maps and pattern references: lookups, versions, iteration, events, and what wrong calls say.

use hlua::Config;
use hlua::host::memory::MemoryTxn;

use crate::bench::{Bench, get, stick_table};

/// A bench with a map and an ACL list, and functions to try calls.
fn bench(script: &str) -> Bench {
    let bench = Bench::empty(&Config::default());
    bench.core.patterns.add_map("a.map", &[("k1", "v1"), ("k2", "v2"), ("k2", "again")]);
    bench.core.patterns.add_map("n.map", &[("1", "one")]);
    bench.core.patterns.add_acl("b.acl", &["x", "y"]);
    bench.load(&format!("{TRY}\n{script}")).unwrap();
    bench.runtime.run_init().unwrap();
    bench.runtime.start_tasks().unwrap();
    bench.core.run_tasks();
    bench
}

/// `say(f, …)` logs what a call gives, or its error.
const TRY: &str = r#"
  local function text(value)
    if type(value) ~= "table" then return tostring(value) end
    return "{" .. tostring(value) .. "}"
  end
  function say(what, f, ...)
    local got = table.pack(pcall(f, ...))
    for at = 2, got.n do got[at] = text(got[at]) end
    core.Info(what .. ": " .. (got[1] and "" or "error ") .. table.concat(got, ", ", 2, got.n))
  end
"#;

fn log(bench: &Bench) -> String {
    let lines = bench.core.take_log();
    lines.iter().map(|line| line.trim_start_matches("info: ").to_owned() + "\n").collect()
}

fn run(script: &str) -> String {
    let script = format!("{script}\ncore.register_action('go', {{'http-req'}}, function(txn) go(txn) end)");
    let bench = bench(&script);
    bench.action("go", get()).1.unwrap();
    bench.core.run_tasks();
    log(&bench)
}

#[test]
fn maps_are_opened_at_start_and_looked_up_anywhere() {
    insta::assert_snapshot!(run(r#"
      say("no name", Map.new)
      say("three", Map.new, "a.map", 6, 7)
      say("no file", Map.new, "nosuch.map")
      say("bad name", Map.new, {}, Map._str)
      say("bad method", Map.new, "a.map", "x")
      for _, method in ipairs({0, 1, 4, 5, 13, 14, -1}) do say("method " .. method, Map.new, "a.map", method) end
      local map, numbers = Map.new("a.map"), Map.new("n.map", Map._int)
      local ends = Map.new("a.map", Map["end"])
      say("tostring", tostring, map)
      say("in the body", map.lookup, map, "k1")
      core.register_init(function() say("in init", Map.new, "a.map", Map._beg) end)
      function go(txn)
        say("at run time", Map.new, "a.map")
        say("hit", map.lookup, map, "k2")
        say("miss", map.lookup, map, "k3")
        say("slookup hit", map.slookup, map, "k1")
        say("slookup miss", function() return "[" .. map:slookup("k3") .. "]" end)
        say("ending", ends.lookup, ends, "xxk1")
        say("integer", numbers.lookup, numbers, 1)
        say("digits", numbers.lookup, numbers, "1")
        say("no integer", function() return numbers:lookup("x") end)
        say("fraction", function() return numbers:slookup(1.5) end)
        say("nil", function() return map:lookup(nil) end)
        say("table", function() return map:lookup({}) end)
        say("no argument", function() return map:lookup() end)
        say("two arguments", function() return map:lookup("a", "b") end)
        say("other self", function() return map.lookup({}, "a") end)
      end
    "#));
}

#[test]
fn references_are_read_as_tables() {
    insta::assert_snapshot!(run(r#"
      function go(txn)
        say("unknown", core.get_patref, "nosuch")
        say("no name", core.get_patref)
        local map, acl = core.get_patref("a.map"), core.get_patref("b.acl")
        say("tostring", tostring, map)
        say("names", function() return map:get_name(), map:is_map(), acl:get_name(), acl:is_map() end)
        say("index", function() return map.k1, map["k2"], map.k3, acl.x, acl.z end)
        map.k1 = "ignored"
        say("method before key", function() map:add("add", "value") return type(map.add) end)
        for key, value in pairs(map) do say("map", function() return key, value end) end
        for key, value in pairs(acl) do say("acl", function() return key, value end) end
        for at = 1, 250 do acl:add("n" .. at) end
        local count = 0
        for key in pairs(acl) do count = count + 1 end
        say("many", function() return count end)
      end
    "#));
}

#[test]
fn changes_go_to_the_live_version_until_one_is_prepared() {
    insta::assert_snapshot!(run(r#"
      function go(txn)
        local map, acl = core.get_patref("a.map"), core.get_patref("b.acl")
        local function all(ref) local out = {} for k, v in pairs(ref) do out[#out + 1] = k .. "=" .. tostring(v) end return table.concat(out, " ") end
        say("commit nothing", map.commit, map)
        say("giveup nothing", map.giveup, map)
        say("add", map.add, map, "k3", "v3")
        say("add without value", map.add, map, "k4")
        say("acl add", acl.add, acl, "z")
        say("set", map.set, map, "k2", "both")
        say("set absent", map.set, map, "absent", "v")
        say("set forced", map.set, map, "forced", "v", true)
        say("acl set", acl.set, acl, "x", "v")
        say("del", map.del, map, "k1")
        say("del absent", map.del, map, "k1")
        say("live", all, map)
        map:prepare()
        say("add aside", map.add, map, "new", "1")
        say("bulk aside", map.add_bulk, map, {b1 = "1"})
        say("still live", all, map)
        say("commit", map.commit, map)
        say("committed", function() return map.new, map.b1, map.k2 end)
        local other = core.get_patref("a.map")
        map:prepare() other:prepare()
        say("newer", other.commit, other)
        say("superseded", map.commit, map)
        map:prepare() map:add("lost", "1") map:giveup()
        say("given up", all, map)
        acl:add_bulk({"one", "two"})
        say("acl bulk", all, acl)
        say("purge", acl.purge, acl)
        say("purged", all, acl)
        say("no table", function() map:add_bulk("x") end)
        say("bad entries", function() map:add_bulk({a = {}}) end)
        say("few", function() map:add() end)
        say("many", function() map:set("a", "b", true, 4) end)
        say("other self", function() map.add({}, "a", "b") end)
      end
    "#));
}

#[test]
fn bulk_additions_give_way_every_hundred_entries() {
    let bench = bench(
        r#"core.register_task(function()
             local acl, list = core.get_patref("b.acl"), {}
             for at = 1, 1000 do list[at] = "k" .. at end
             acl:purge()
             say("bulk", acl.add_bulk, acl, list)
             say("there", function() return acl.k1, acl.k1000 end)
           end)
           core.register_task(function() for turn = 1, 3 do core.Info("turn " .. turn) core.yield() end end)"#,
    );
    assert_eq!(log(&bench), "turn 1\nturn 2\nturn 3\nbulk: true\nthere: true, true\n");
}

#[test]
fn handlers_of_references_get_four_arguments() {
    let bench = bench(
        r##"core.register_init(function()
             local map = core.get_patref("a.map")
             map:event_sub({"PAT_REF_ADD", "PAT_REF_COMMIT"}, function(...)
               local event, data, sub, when = ...
               core.Info(select("#", ...) .. " " .. event .. " " .. tostring(data) .. " " .. tostring(sub) .. " " .. math.type(when))
               if event == "PAT_REF_COMMIT" then sub:unsub() end
             end)
             say("unknown", function() map:event_sub({"PAT_REF_NOSUCH"}, print) end)
             say("servers", function() map:event_sub({"SERVER_UP"}, print) end)
             say("mixed", function() map:event_sub({"PAT_REF_ADD", "SERVER_UP"}, print) end)
             say("empty", function() map:event_sub({}, print) end)
             say("global", function() return core.event_sub({"PAT_REF"}, print) end)
           end)
           core.register_action("go", {"http-req"}, function()
             local map = core.get_patref("a.map")
             map:add("x", "1") map:set("x", "2") map:del("x")
             map:prepare() map:add("aside", "1") map:commit()
             map:add("late", "1")
           end)"##,
    );
    bench.action("go", get()).1.unwrap();
    bench.core.run_tasks();
    insta::assert_snapshot!(log(&bench));
}

#[test]
fn legacy_calls_name_what_they_do_not_know() {
    insta::assert_snapshot!(run(r#"
      say("body", core.add_acl, "nosuch", "x")
      function go(txn)
        for _, name in ipairs({"add_acl", "del_acl", "del_map"}) do
          say(name, core[name], "nosuch", "x")
          say(name .. " with one", core[name], "nosuch")
        end
        say("set_map", core.set_map, "nosuch", "x", "y")
        say("set_map with two", core.set_map, "nosuch", "x")
        core.add_acl("b.acl", "x") core.add_acl("b.acl", "w") core.del_acl("b.acl", "y") core.del_acl("b.acl", "absent")
        core.set_map("a.map", "k2", "set") core.set_map("a.map", "made", "new") core.del_map("a.map", "k1")
        for _, name in ipairs({"a.map", "b.acl"}) do
          for key, value in pairs(core.get_patref(name)) do say(name, function() return key, value end) end
        end
      end
    "#));
}

#[test]
fn references_are_given_up_with_their_object() {
    let bench = bench(
        r#"core.register_action("go", {"http-req"}, function()
             local ref = core.get_patref("a.map")
             ref:prepare() ref:add("aside", "1")
             ref = nil
             collectgarbage() collectgarbage()
             local again = core.get_patref("a.map")
             say("k1", function() return again.k1, again.aside end)
           end)"#,
    );
    bench.action("go", MemoryTxn::tcp(b"")).1.unwrap();
    assert_eq!(log(&bench), "k1: v1, nil\n");
}

#[test]
fn stick_tables_are_read_and_filtered() {
    let bench = bench(
        r#"core.register_action("go", {"http-req"}, function(txn)
             local function show(value)
               if type(value) ~= "table" then return tostring(value) end
               local list = {}
               for key, inner in pairs(value) do list[#list + 1] = key .. "=" .. show(inner) end
               table.sort(list)
               return "{" .. table.concat(list, " ") .. "}"
             end
             local t = core.backends.with.stktable
             local function try(what, ...)
               local got = table.pack(pcall(...))
               for at = 2, got.n do got[at] = show(got[at]) end
               core.Info(what .. ": " .. (got[1] and "" or "error ") .. table.concat(got, ", ", 2, got.n))
             end
             say("without", function() return core.backends.without.stktable end)
             say("tostring", tostring, t)
             try("info", t.info, t)
             try("lookup", t.lookup, t, "10.0.0.1")
             try("absent", t.lookup, t, "10.0.0.9")
             try("no key", t.lookup, t)
             try("dump", t.dump, t)
             try("nil filter", t.dump, t, nil)
             try("empty filter", t.dump, t, {})
             for _, op in ipairs({"eq", "ne", "le", "lt", "ge", "gt"}) do
               try(op, t.dump, t, {{"gpc0", op, 5}})
             end
             try("both", t.dump, t, {{"gpc0", "gt", 1}, {"conn_rate", "lt", 10}})
             try("no number", t.dump, t, {{"gpc0", "gt", "x"}})
             try("operator", t.dump, t, {{"gpc0", "gt", 1}, {"gpc0", "xx", 1}})
             try("column", t.dump, t, {{"gpc1", "gt", 1}})
             try("short", t.dump, t, {{"gpc0", "gt"}})
             try("no triplet", t.dump, t, {"gpc0"})
             try("five", t.dump, t, {{"gpc0", "gt", 1}, {}, {}, {}, {}})
             try("text", t.dump, t, "x")
             try("other self", t.info, {})
           end)"#,
    );
    bench.core.proxies.add("with", (false, true), &[]);
    bench.core.proxies.add("without", (false, true), &[]);
    bench.core.proxies.add_stick_table("with", stick_table());
    bench.action("go", get()).1.unwrap();
    insta::assert_snapshot!(log(&bench));
}
