//! The built-in module `json`, as scripts use it.

use crate::bench::Bench;
use hlua::{Config, MemoryPool};

fn probe(body: &str) -> Vec<String> {
    Bench::new(&Config::default(), "json = require 'json'").probe(body)
}

#[test]
fn require_finds_it_and_says_where() {
    let bench = Bench::new(&Config::default(), "");
    let lines = bench.probe(
        r#"local json, place = require("json")
           core.Info(tostring(json == require("json")) .. " " .. place)
           core.Info(select(2, pcall(require, "no.such")):match("no built%-in module") or "not said")"#,
    );
    assert_eq!(lines, ["info: true (built in)", "info: no built-in module"]);
}

#[test]
fn a_json_lua_in_the_path_wins() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("json.lua"), "return { mine = true }").unwrap();
    let path = folder.path().join("?.lua").display().to_string();
    let config = Config { prepend_paths: vec![("path".into(), path)], ..Config::default() };
    let bench = Bench::new(&config, "");
    assert_eq!(bench.probe("core.Info(tostring(require('json').mine))"), ["info: true"]);
}

#[test]
fn values_survive_there_and_back() {
    let texts = [
        r#"{"a":1,"b":[true,false,"x"],"c":{"d":1.5}}"#,
        r#"[1,-2,9007199254740993,1e300]"#,
        r#""\u0001é😀""#,
        r#"{"empty":{},"list":[]}"#,
        "12",
        "false",
    ];
    for text in texts {
        let lines = probe(&format!("core.Info(json.encode(json.decode([==[{text}]==])))"));
        assert_eq!(lines, [format!("info: {text}")]);
    }
}

#[test]
fn null_is_nil_unless_it_is_to_be_kept() {
    let lines = probe(
        r#"local t = json.decode('{"a":null,"b":[null,2]}')
           core.Info(tostring(t.a) .. tostring(t.b[1]) .. t.b[2])
           local kept = json.decode('{"a":null}', true)
           core.Info(tostring(kept.a == json.null) .. json.encode(kept) .. json.encode(nil) .. json.encode({json.null}))"#,
    );
    assert_eq!(lines, ["info: nilnil2", r#"info: true{"a":null}null[null]"#]);
}

#[test]
fn tables_are_arrays_or_objects_and_nothing_else() {
    let lines = probe(
        r#"local function try(value) core.Info(tostring(select(2, pcall(json.encode, value)))) end
           try({}) try(json.object()) try(json.object({})) try({1, 2}) try({b = 1, a = 2})
           try({1, x = 2}) try({1, nil, 3, 4}) try({[2] = 1}) try({[{}] = 1}) try(print) try(0/0)
           local loop = {} loop[1] = loop try(loop)"#,
    );
    let text = |what: &str| format!("info: test.lua:1: json: {what}");
    assert_eq!(lines[..5], ["info: []", "info: {}", "info: {}", "info: [1,2]", r#"info: {"a":2,"b":1}"#]);
    let without_place: Vec<_> = lines[5..].iter().map(|line| line.trim_start_matches("info: ")).collect();
    assert_eq!(
        without_place,
        [
            "json: a table has [1] and other keys: neither an array nor an object",
            "json: an array has holes",
            "json: a key of an object is a number, not a string",
            "json: a key of an object is a table, not a string",
            "json: a function cannot be written",
            "json: a number is not finite",
            "json: a table is nested too deep, or contains itself",
        ],
        "{}",
        text("")
    );
}

#[test]
fn errors_name_the_scripts_line_and_the_texts() {
    let bench = Bench::new(
        &Config::default(),
        "core.register_action('a', {'http-req'}, function(txn)\n  require('json').decode('{\"a\":\\n nope}')\nend)",
    );
    let error = bench.action("a", crate::bench::get()).1.unwrap_err().to_string();
    assert!(error.contains("test.lua:2: json: a value is expected at line 2 column 2"), "{error}");
}

#[test]
fn wrong_arguments_are_errors() {
    let lines = probe(
        r#"for _, f in ipairs({ function() json.decode() end, function() json.decode({}) end, function() json.encode() end,
             function() json.object(1) end }) do core.Info(select(2, pcall(f))) end"#,
    );
    assert_eq!(
        lines.iter().map(|line| line.split(": ").last().unwrap().to_owned()).collect::<Vec<_>>(),
        [
            "'decode' needs between 1 and 2 arguments",
            "bad argument #1 to 'decode' (string expected, got table)",
            "'encode' needs 1 arguments",
            "bad argument #1 to 'object' (table expected, got number)",
        ]
    );
}

#[test]
fn a_memory_cap_holds_for_decoded_values() {
    let memory = Some(MemoryPool::new(400_000));
    let config = Config { memory, ..Config::default() };
    let bench = Bench::new(
        &config,
        r#"json = require "json"
           core.register_action("big", {"http-req"}, function(txn)
             local text = "[" .. string.rep("{},", 20000) .. "1]"
             json.decode(text)
           end)
           core.register_action("small", {"http-req"}, function(txn) core.Info(#json.decode("[1,2]")) end)"#,
    );
    let error = bench.action("big", crate::bench::get()).1.unwrap_err();
    assert!(matches!(error, hlua::Error::Memory { .. }), "{error}");
    bench.action("small", crate::bench::get()).1.unwrap();
    assert_eq!(bench.core.take_log(), ["info: 2"]);
}
