//! `tidegate lua types`: the API as definitions for Lua language servers (`---@meta`).
//!
//! Made of the tables that the VM is filled from, with types, documentation and contexts from the table of facts where
//! it has the entry; so an editor offers what is there, and nothing else.

use std::fmt::Write as _;

use hlua::reference::{CLASS, Entry, EntryKind, Fact, entries};

/// The whole file. `fetches` and `converters` are the host's names, as a configuration has them.
pub(super) fn render(fetches: &[String], converters: &[String]) -> String {
    let mut text = HEADING.to_owned();
    let all = entries();
    for class in all.iter().filter(|entry| entry.kind == EntryKind::Class && entry.class != "json") {
        let members: Vec<&Entry> =
            all.iter().filter(|entry| entry.class == class.class && entry.kind != EntryKind::Class).collect();
        describe_class(&mut text, class.class, &members);
        match class.class {
            "Fetches" => samples(&mut text, "Fetches", fetches),
            "Converters" => samples(&mut text, "Converters", converters),
            _ => {}
        }
    }
    text
}

const HEADING: &str = "---@meta haproxy\n\
    -- What scripts find in tidegate: made by `tidegate lua types`, not by hand.\n";

/// The definitions of a built-in module, for a file of its name: what `require` finds.
pub(super) fn module(name: &str) -> Option<String> {
    let all = entries();
    let members: Vec<&Entry> =
        all.iter().filter(|entry| entry.class == name && entry.kind != EntryKind::Class).collect();
    if name != "json" || members.is_empty() {
        return None;
    }
    let mut text = format!("---@meta {name}\n");
    describe_class(&mut text, name, &members);
    text.push_str(&format!("\nreturn {name}\n"));
    Some(text)
}

/// Classes that are global tables; the others are only types.
fn is_global(members: &[&Entry]) -> bool {
    members.iter().any(|entry| matches!(entry.kind, EntryKind::Function | EntryKind::Constant(_)))
}

fn describe_class(text: &mut String, class: &str, members: &[&Entry]) {
    if class == "coroutine" {
        return;
    }
    text.push('\n');
    if let Some(fact) = Fact::of(class, CLASS) {
        comment(text, fact.notes);
    }
    let _ = writeln!(text, "---@class {class}");
    for member in members {
        let kind = match member.kind {
            EntryKind::Attribute if (class, member.name) == ("TXN", "http") => "HTTP".to_owned(),
            EntryKind::Attribute if member.name != "*" => {
                type_of(Fact::of(class, member.name).map_or(member.signature, |fact| fact.returns))
            }
            EntryKind::Constant(_) => "integer".to_owned(),
            _ => continue,
        };
        let name =
            if is_plain(member.name) { member.name.to_owned() } else { format!("['{}']", member.name) };
        let _ = writeln!(text, "---@field {name} {kind} {}", notes(member));
    }
    let scope = if is_global(members) && class != "json" { "" } else { "local " };
    let _ = writeln!(text, "{scope}{class} = {{}}");
    for member in members {
        let called = matches!(member.kind, EntryKind::Function | EntryKind::Method);
        if called && !member.name.starts_with("__") && is_plain(member.name) {
            describe_function(text, member);
        }
    }
}

fn describe_function(text: &mut String, entry: &Entry) {
    text.push('\n');
    comment(text, &notes(entry));
    let fact = Fact::of(entry.class, entry.name).filter(|fact| fact.signature != "-");
    let parameters = parameters(fact.map_or(entry.signature, |fact| fact.signature));
    let is_method = entry.kind == EntryKind::Method;
    let shown: Vec<&Parameter> =
        parameters.iter().filter(|parameter| !(is_method && parameter.name == "self")).collect();
    for Parameter { name, kind, optional } in &shown {
        let kind = callback(entry.class, entry.name, name).map_or_else(|| taken(kind), str::to_owned);
        let mark = if *optional { "?" } else { "" };
        let _ = writeln!(text, "---@param {name}{mark} {kind}");
    }
    for result in fact.map_or(vec!["any".to_owned()], |fact| results(fact.returns)) {
        let _ = writeln!(text, "---@return {result}");
    }
    let names: Vec<&str> = shown.iter().map(|parameter| parameter.name.as_str()).collect();
    let separator = if is_method { ':' } else { '.' };
    let _ = writeln!(text, "function {}{separator}{}({}) end", entry.class, entry.name, names.join(", "));
}

/// What functions that are handed over get and give.
fn callback(class: &str, name: &str, parameter: &str) -> Option<&'static str> {
    if parameter != "func" {
        return None;
    }
    Some(match (class, name) {
        ("core", "register_action") => "fun(txn: TXN, ...: string): integer?",
        ("core", "register_fetches") => "fun(txn: TXN, ...: string): any",
        ("core", "register_converters") => "fun(value: string, ...: string): any",
        ("core", "register_service") => "fun(applet: AppletHTTP)|fun(applet: AppletTCP)",
        ("core", "register_init") => "fun()",
        ("core", "register_task") => "fun(...: any)",
        ("core" | "Server", "event_sub") => {
            "fun(event: string, data: ServerEvent, sub: EventSub, when: integer)"
        }
        _ => return None,
    })
}

/// What a parameter takes: Lua makes a text of a number by itself.
fn taken(kind: &str) -> String {
    match type_of(kind).as_str() {
        "string" => "string|number".to_owned(),
        other => other.to_owned(),
    }
}

struct Parameter {
    name: String,
    kind: String,
    optional: bool,
}

/// The parameters of a signature, typed (`(a:string, b?:integer)`) or not (`(a [, b])`).
fn parameters(signature: &str) -> Vec<Parameter> {
    let inside = signature.trim().trim_start_matches('(').trim_end_matches(')');
    let mut optional = false;
    split(&inside.replace(" [, ", ",\u{1}").replace('[', "\u{1}").replace(']', ""))
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            optional |= part.contains('\u{1}');
            let part = part.replace('\u{1}', "");
            let (name, kind) = part.split_once(':').unwrap_or((&part, "any"));
            let name = name.trim();
            let plain = name.trim_end_matches('?');
            let plain = match plain {
                "end" => "last",
                "function" => "func",
                name if name.contains("...") => "...",
                name => name,
            };
            Parameter {
                name: plain.to_owned(),
                kind: kind.trim().to_owned(),
                optional: (optional || name.ends_with('?')) && plain != "...",
            }
        })
        .collect()
}

/// The parts between commas that stand outside of brackets.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("invariant: there is one").push(c);
    }
    parts
}

/// The types of what a call gives.
fn results(returns: &str) -> Vec<String> {
    match returns {
        "-" | "nothing" | "never" => Vec::new(),
        _ => split(returns).iter().map(|part| type_of(part)).collect(),
    }
}

/// A type of the table of facts in the words of language servers.
fn type_of(text: &str) -> String {
    let alternatives: Vec<String> = text.trim().split(" or ").map(|part| one_type(part.trim())).collect();
    let mut seen = Vec::new();
    for kind in alternatives {
        if !seen.contains(&kind) {
            seen.push(kind);
        }
    }
    seen.join("|")
}

fn one_type(text: &str) -> String {
    let text = text.trim_end_matches('?');
    match text {
        "string" | "integer" | "number" | "boolean" | "nil" | "any" | "function" | "table" | "userdata"
        | "thread" => {
            return text.to_owned();
        }
        "string|integer" => return text.to_owned(),
        "table{sec:int,usec:int}" => return "{ sec: integer, usec: integer }".to_owned(),
        // Nil on TCP streams, as its documentation says; asking for that at each use would help nobody.
        "HTTP" => return "HTTP".to_owned(),
        "1" | "0" => return "integer".to_owned(),
        "true" | "false" => return "boolean".to_owned(),
        "no value" => return "nil".to_owned(),
        "light userdata" | "lightuserdata" => return "lightuserdata".to_owned(),
        _ => {}
    }
    if text.strip_prefix("integer ").is_some_and(|value| value.parse::<i64>().is_ok()) {
        return "integer".to_owned();
    }
    if let Some(item) = text.strip_prefix("table of ") {
        return format!("{}[]", one_type(item));
    }
    let inside = text.strip_prefix("table").map(|rest| rest.trim_start_matches("-like"));
    if let Some(pair) = inside.and_then(|inside| inside.strip_prefix('{')?.strip_suffix('}')) {
        return match pair.split_once(':') {
            Some(("string", value)) if !value.starts_with('{') => {
                format!("table<string, {}>", one_type(value))
            }
            Some(("string", _)) => "table<string, table<integer, string>>".to_owned(),
            _ => "table".to_owned(),
        };
    }
    if text.starts_with("table") || text.starts_with("list") {
        return "table".to_owned();
    }
    let is_class = entries().iter().any(|entry| entry.kind == EntryKind::Class && entry.class == text);
    if is_class { text.to_owned() } else { "any".to_owned() }
}

fn is_plain(name: &str) -> bool {
    const WORDS: [&str; 8] = ["end", "and", "or", "not", "nil", "function", "repeat", "until"];
    !WORDS.contains(&name) && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// What one should know, where it may be used, whether it waits.
fn notes(entry: &Entry) -> String {
    let mut text = Fact::of(entry.class, entry.name).map_or("", |fact| fact.notes).to_owned();
    if let Some(rest) = text.strip_prefix("UNDOC. ") {
        text = rest.to_owned();
    }
    if entry.waits {
        text.push_str(" Waits.");
    }
    if entry.contexts != hlua::Contexts::ALL {
        let _ = write!(text, " Contexts: {}.", entry.contexts);
    }
    text.trim().to_owned()
}

fn comment(text: &mut String, words: &str) {
    if !words.is_empty() && words != "-" {
        let _ = writeln!(text, "--- {words}");
    }
}

/// A method for each of the host's names.
fn samples(text: &mut String, class: &str, names: &[String]) {
    let mut names: Vec<String> = names
        .iter()
        .filter(|name| !name.starts_with("lua."))
        .map(|name| name.replace(['.', '-', '+'], "_"))
        .filter(|name| is_plain(name))
        .collect();
    names.sort();
    names.dedup();
    let input = if class == "Converters" { "input, " } else { "" };
    for name in names {
        text.push('\n');
        if let Some(fact) = Fact::of(class, &name) {
            comment(text, fact.notes);
        }
        if !input.is_empty() {
            text.push_str("---@param input any\n");
        }
        let _ = writeln!(text, "---@param ... any\n---@return any");
        let _ = writeln!(text, "function {class}:{name}({input}...) end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_facts_become_types_of_editors() {
        for (fact, expected) in [
            ("string or nil", "string|nil"),
            ("table-like{string:Proxy}", "table<string, Proxy>"),
            ("table{string:{0-based}}", "table<string, table<integer, string>>"),
            ("table of Server", "Server[]"),
            ("integer -1", "integer"),
            ("table{sec:int,usec:int}", "{ sec: integer, usec: integer }"),
            ("any or nil", "any|nil"),
            ("whatever", "any"),
        ] {
            assert_eq!(type_of(fact), expected, "{fact}");
        }
        assert_eq!(results("1 or nil,string"), ["integer|nil", "string"]);
    }

    #[test]
    fn definitions_have_parameters_results_contexts_and_parse() {
        let text = render(&["req.hdr".to_owned()], &["b64dec".to_owned()]);
        for part in [
            "---@meta haproxy\n",
            "---@class core\n",
            "Contexts: body.\n---@param name string|number\n---@param actions table\n",
            "---@param func fun(txn: TXN, ...: string): integer?\n---@param nb_args? integer\n",
            "function core.register_action(name, actions, func, nb_args) end\n",
            "function TXN:set_var(var, value, ifexist) end\n",
            "---@field http HTTP ",
            "function Fetches:req_hdr(...) end\n",
            "function Converters:b64dec(input, ...) end\n",
            "---@field emerg integer Syslog severity 0.\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        let parsed = full_moon::parse_fallible(&text, full_moon::LuaVersion::lua54());
        assert!(parsed.errors().is_empty(), "{:?}", parsed.errors());
    }
}
