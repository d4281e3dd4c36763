//! What can be said of a script without running it: members of `core` and `act` that do not exist, waiting where it is
//! not possible, and whether it keeps state between calls.
//!
//! It follows names, not values: a function that is registered, functions of the same file that it calls by name, and
//! what these call of `core`. What it cannot follow it says nothing about.

use std::collections::{BTreeMap, BTreeSet};

use full_moon::{
    LuaVersion,
    ast::{
        Assignment, Call, Expression, FunctionArgs, FunctionBody, FunctionCall, FunctionDeclaration,
        GenericFor, Index, LocalAssignment, LocalFunction, NumericFor, Parameter, Prefix, Suffix, Var,
        VarExpression,
    },
    node::Node as _,
    tokenizer::{TokenReference, TokenType},
    visitors::Visitor,
};
use hlua::reference::{EntryKind, entries};

use super::finding::{Finding, Weight};

/// What one file says of itself.
#[derive(Default)]
pub(super) struct Report {
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
    /// The modules that it requires by a literal name, in order.
    pub(super) requires: Vec<String>,
    /// Whether it has functions at all.
    pub(super) has_functions: bool,
    /// Whether it keeps something between calls, or does what is done once for the process.
    pub(super) keeps: bool,
}

/// Looks at a script or a module.
pub(super) fn script(file: &str, source: &str) -> Report {
    let parsed = full_moon::parse_fallible(source, LuaVersion::lua54());
    if !parsed.errors().is_empty() {
        // Loading it has said so, in Lua's own words.
        return Report { keeps: true, ..Report::default() };
    }
    let mut scan = Scan::new();
    scan.frames.push(Frame::default());
    scan.visit_ast(parsed.ast());
    let main = scan.frames.pop().unwrap_or_default();
    scan.finish(file, &main)
}

/// A member of a global table, where it was read.
struct Member {
    owner: &'static str,
    name: String,
    at: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    line: usize,
    column: usize,
    len: usize,
}

/// What is known of one function.
#[derive(Default)]
struct Frame {
    name: Option<String>,
    role: Option<&'static str>,
    locals: BTreeSet<String>,
    waits: Vec<(String, Place)>,
    calls: BTreeSet<String>,
    /// Where it changes something that is not its own.
    changes: Vec<(String, Place)>,
}

struct Scan {
    frames: Vec<Frame>,
    functions: Vec<Frame>,
    /// The name that the next function gets.
    next_name: Option<String>,
    /// What the next function is registered as.
    next_role: Option<&'static str>,
    /// Functions registered by name.
    registered: BTreeMap<String, &'static str>,
    members: Vec<Member>,
    defined: BTreeSet<(&'static str, String)>,
    waiting: BTreeSet<&'static str>,
    /// It does something that is one for the process, however its functions look.
    is_single: bool,
    requires: Vec<String>,
}

const OWNERS: [&str; 2] = ["core", "act"];

/// Registering functions, and where what they register runs if it cannot wait.
const ROLES: [(&str, &str); 3] = [
    ("register_fetches", "sample fetch"),
    ("register_converters", "converter"),
    ("register_init", "init function"),
];

/// What a script does once, whatever its functions keep.
const SINGLE: [&str; 6] =
    ["register_task", "register_cli", "event_sub", "queue", "get_patref", "register_filter"];

impl Scan {
    fn new() -> Self {
        let waits =
            |entry: &hlua::reference::Entry| entry.class == "core" && entry.waits && entry.name != "yield";
        Self {
            frames: Vec::new(),
            functions: Vec::new(),
            next_name: None,
            next_role: None,
            registered: BTreeMap::new(),
            members: Vec::new(),
            defined: BTreeSet::new(),
            waiting: entries().iter().filter(|entry| waits(entry)).map(|entry| entry.name).collect(),
            is_single: false,
            requires: Vec::new(),
        }
    }

    fn frame(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("invariant: the main chunk is always there")
    }

    fn is_local(&self, name: &str) -> bool {
        self.frames.iter().any(|frame| frame.locals.contains(name))
    }

    /// Reads `core.name` and `act.name`.
    fn member<'a>(&mut self, prefix: &Prefix, mut suffixes: impl Iterator<Item = &'a Suffix>) {
        let Prefix::Name(owner) = prefix else { return };
        let owner = text(owner);
        let Some(owner) = OWNERS.into_iter().find(|known| *known == owner) else { return };
        if self.is_local(owner) {
            return;
        }
        if let Some(Suffix::Index(Index::Dot { name, .. })) = suffixes.next() {
            self.members.push(Member { owner, name: text(name), at: place(name) });
        }
    }

    /// A change to a variable, or to a field of one.
    fn change(&mut self, name: &TokenReference) {
        let word = text(name);
        let is_own = self.frames.len() > 1 && self.frame().locals.contains(&word);
        if self.frames.len() > 1 && !is_own {
            let at = place(name);
            self.frame().changes.push((word, at));
        }
    }

    fn finish(self, file: &str, main: &Frame) -> Report {
        let mut findings = self.unknown_members(file);
        findings.extend(self.impossible_waits(file));
        let changes = self.functions.iter().chain([main]).any(|function| !function.changes.is_empty());
        Report {
            findings,
            has_functions: !self.functions.is_empty(),
            keeps: self.is_single || changes,
            requires: self.requires,
        }
    }

    fn unknown_members(&self, file: &str) -> Vec<Finding> {
        let all = entries();
        let mut findings = Vec::new();
        for Member { owner, name, at } in &self.members {
            let known =
                |entry: &&hlua::reference::Entry| entry.class == *owner && entry.kind != EntryKind::Class;
            if all.iter().filter(known).any(|entry| entry.name == name)
                || self.defined.contains(&(owner, name.clone()))
            {
                continue;
            }
            let message = format!("'{owner}' has no member '{name}'");
            let finding =
                Finding::new(Weight::Warning, file, at.line, message).at(at.column, at.column + at.len);
            let close = all.iter().filter(known).map(|entry| entry.name);
            let close =
                close.max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
            findings.push(match close.filter(|close| strsim::jaro_winkler(close, name) > CLOSE) {
                Some(close) => finding.help(format!("did you mean '{owner}.{close}'?")),
                None => finding,
            });
        }
        findings
    }

    /// Waiting calls that a fetch, converter or init function reaches.
    fn impossible_waits(&self, file: &str) -> Vec<Finding> {
        let named: BTreeMap<&str, &Frame> = self
            .functions
            .iter()
            .filter_map(|function| Some((function.name.as_deref()?, function)))
            .collect();
        let mut found: BTreeMap<Place, Finding> = BTreeMap::new();
        for function in &self.functions {
            let by_name = function.name.as_ref().and_then(|name| self.registered.get(name).copied());
            let Some(role) = function.role.or(by_name) else { continue };
            let mut seen = BTreeSet::new();
            let mut open = vec![function];
            while let Some(function) = open.pop() {
                for (name, at) in &function.waits {
                    found.entry(*at).or_insert_with(|| wait(file, role, name, *at));
                }
                for called in &function.calls {
                    if seen.insert(called.as_str()) {
                        open.extend(named.get(called.as_str()));
                    }
                }
            }
        }
        found.into_values().collect()
    }
}

fn wait(file: &str, role: &str, name: &str, at: Place) -> Finding {
    let finding =
        |weight, message| Finding::new(weight, file, at.line, message).at(at.column, at.column + at.len);
    match role {
        "init function" => {
            finding(Weight::Warning, format!("'core.{name}' does nothing in an init function"))
                .help("start a task with core.register_task, which may wait")
        }
        _ => finding(Weight::Error, format!("'core.{name}' waits, and a {role} cannot"))
            .help("wait in an action and hand the result over in a variable"),
    }
}

/// Names that are closer than this are suggested.
const CLOSE: f64 = 0.8;

impl Visitor for Scan {
    fn visit_function_call(&mut self, call: &FunctionCall) {
        self.member(call.prefix(), call.suffixes());
        let Prefix::Name(head) = call.prefix() else { return };
        let head_text = text(head);
        let suffixes: Vec<&Suffix> = call.suffixes().collect();
        if let (true, Some(Suffix::Call(Call::AnonymousCall(args)))) =
            (head_text == "require", suffixes.first())
        {
            self.requires.extend(literal(args));
        }
        match suffixes[..] {
            [Suffix::Call(Call::AnonymousCall(_))] => drop(self.frame().calls.insert(head_text)),
            [Suffix::Index(Index::Dot { name, .. }), Suffix::Call(Call::AnonymousCall(args)), ..] => {
                self.call_of(&head_text, name, args);
            }
            _ => {}
        }
    }

    fn visit_var_expression(&mut self, var: &VarExpression) {
        self.member(var.prefix(), var.suffixes());
    }

    fn visit_assignment(&mut self, assignment: &Assignment) {
        for var in assignment.variables() {
            match var {
                Var::Name(name) => {
                    self.change(name);
                    self.next_name = only_function(assignment.expressions().iter()).then(|| text(name));
                }
                Var::Expression(var) => {
                    if let Prefix::Name(name) = var.prefix() {
                        self.change(name);
                        let owner = OWNERS.into_iter().find(|known| *known == text(name));
                        if let (Some(owner), Some(Suffix::Index(Index::Dot { name, .. }))) =
                            (owner, var.suffixes().next())
                        {
                            self.defined.insert((owner, text(name)));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn visit_local_assignment(&mut self, assignment: &LocalAssignment) {
        for name in assignment.names() {
            let name = text(name);
            self.next_name = only_function(assignment.expressions().iter()).then(|| name.clone());
            self.frame().locals.insert(name);
        }
    }

    fn visit_local_function(&mut self, function: &LocalFunction) {
        let name = text(function.name());
        self.frame().locals.insert(name.clone());
        self.next_name = Some(name);
    }

    fn visit_function_declaration(&mut self, function: &FunctionDeclaration) {
        if let Some(name) = function.name().names().iter().next() {
            self.change(name);
            self.next_name = Some(text(name));
        }
    }

    fn visit_numeric_for(&mut self, node: &NumericFor) {
        let name = text(node.index_variable());
        self.frame().locals.insert(name);
    }

    fn visit_generic_for(&mut self, node: &GenericFor) {
        for name in node.names() {
            let name = text(name);
            self.frame().locals.insert(name);
        }
    }

    fn visit_function_body(&mut self, body: &FunctionBody) {
        let mut frame =
            Frame { name: self.next_name.take(), role: self.next_role.take(), ..Frame::default() };
        for parameter in body.parameters() {
            if let Parameter::Name(name) = parameter {
                frame.locals.insert(text(name));
            }
        }
        frame.locals.insert("self".to_owned());
        self.frames.push(frame);
    }

    fn visit_function_body_end(&mut self, _body: &FunctionBody) {
        let Some(frame) = self.frames.pop() else { return };
        // What an inner function does counts for the outer one that makes it, unless it is called by name.
        if frame.name.is_none() && frame.role.is_none() && self.frames.len() > 1 {
            let outer = self.frame();
            outer.calls.extend(frame.calls.iter().cloned());
            let own = outer.locals.clone();
            outer.changes.extend(frame.changes.iter().filter(|(name, _)| !own.contains(name)).cloned());
        } else {
            self.functions.push(frame);
        }
    }
}

impl Scan {
    /// `head.name(args)`
    fn call_of(&mut self, head: &str, name: &TokenReference, args: &FunctionArgs) {
        let word = text(name);
        if head == "table" && matches!(word.as_str(), "insert" | "remove" | "sort") {
            if let Some(Expression::Var(Var::Name(changed))) = first(args) {
                self.change(changed);
            }
            return;
        }
        if head != "core" || self.is_local("core") {
            return;
        }
        self.is_single |= SINGLE.contains(&word.as_str());
        if self.waiting.contains(word.as_str()) {
            let at = place(name);
            self.frame().waits.push((word.clone(), at));
        }
        let Some((_, role)) = ROLES.into_iter().find(|(known, _)| *known == word) else { return };
        let FunctionArgs::Parentheses { arguments, .. } = args else { return };
        for argument in arguments {
            match argument {
                Expression::Function(_) => self.next_role = Some(role),
                Expression::Var(Var::Name(name)) => drop(self.registered.insert(text(name), role)),
                _ => {}
            }
        }
    }
}

fn first(args: &FunctionArgs) -> Option<&Expression> {
    match args {
        FunctionArgs::Parentheses { arguments, .. } => arguments.iter().next(),
        _ => None,
    }
}

/// The text of the first argument, if it stands there.
fn literal(args: &FunctionArgs) -> Option<String> {
    let token = match args {
        FunctionArgs::String(token) => token,
        _ => match first(args)? {
            Expression::String(token) => token,
            _ => return None,
        },
    };
    match token.token().token_type() {
        TokenType::StringLiteral { literal, .. } => Some(literal.to_string()),
        _ => None,
    }
}

/// Whether the only value is a function.
fn only_function<'a>(mut values: impl Iterator<Item = &'a Expression>) -> bool {
    matches!(values.next(), Some(Expression::Function(_))) && values.next().is_none()
}

fn text(token: &TokenReference) -> String {
    token.token().to_string()
}

fn place(token: &TokenReference) -> Place {
    let start = token.token().start_position();
    let len = token.token().to_string().len();
    let _ = token.end_position();
    Place { line: start.line(), column: start.character(), len }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str) -> Vec<String> {
        let shown = |finding: &Finding| format!("{}:{} {}", finding.line, finding.columns.0, finding.message);
        script("x.lua", source).findings.iter().map(shown).collect()
    }

    #[test]
    fn unknown_members_are_named_unless_the_script_defines_them() {
        let findings = script("x.lua", "core.registr_action('x')\nlocal d = act.DENIED").findings;
        assert_eq!(findings[0].message, "'core' has no member 'registr_action'");
        assert_eq!(findings[0].help.as_deref(), Some("did you mean 'core.register_action'?"));
        assert_eq!((findings[0].line, findings[0].columns), (1, (6, 20)));
        assert_eq!(findings[1].help.as_deref(), Some("did you mean 'act.DENY'?"));
        assert!(check("core.helper = function() end core.helper()").is_empty());
        assert!(check("local core = {} core.anything()").is_empty());
        assert!(check("core.log(core.info, tostring(core.thread))").is_empty());
    }

    #[test]
    fn waiting_is_found_where_it_cannot_be_also_through_helpers() {
        let fetch = "sample fetch cannot";
        let found = check("core.register_fetches('f', function(txn) core.msleep(1) end)");
        assert!(found[0].starts_with("1:") && found[0].ends_with(fetch), "{found:?}");
        let found = check(
            "local function pause() core.sleep(1) end\nlocal function f(txn) if x then pause() end end\n\
             core.register_converters('c', f)",
        );
        assert_eq!(found, ["1:29 'core.sleep' waits, and a converter cannot"]);
        let found = check("core.register_init(function() core.sleep(1) end)");
        assert_eq!(found, ["1:36 'core.sleep' does nothing in an init function"]);
        assert!(check("core.register_action('a', {}, function(txn) core.sleep(1) end)").is_empty());
        assert!(check("core.register_fetches('f', function(txn) core.yield() end)").is_empty());
    }

    #[test]
    fn only_scripts_that_keep_nothing_could_be_per_thread() {
        let could = |source: &str| {
            let report = script("x.lua", source);
            report.has_functions && !report.keeps
        };
        let action = |body: &str| {
            format!(
                "local t = {{}} local n = 0\ncore.register_action('a', {{'http-req'}}, function(txn) {body} end)"
            )
        };
        assert!(could(&action("local x = t.a x = 2 local y = {} y.z = 1 txn:set_var('txn.x', x)")));
        for body in [
            "n = n + 1",
            "t.x = 1",
            "global = 1",
            "table.insert(t, 1)",
            "for _, x in ipairs({}) do t[x] = 1 end",
            "local f = function() n = 1 end f()",
        ] {
            assert!(!could(&action(body)), "{body}");
        }
        assert!(!could("core.register_task(function() end)"));
        assert!(!could("x = 1"), "nothing is registered");
    }

    #[test]
    fn modules_are_named_in_the_order_they_are_required() {
        let report = script(
            "x.lua",
            "local a = require('a.b')\nlocal c = require \"c\"\nrequire(name)\nrequire [[d]]",
        );
        assert_eq!(report.requires, ["a.b", "c", "d"]);
    }

    #[test]
    fn what_does_not_parse_is_left_to_lua() {
        assert!(check("function (").is_empty());
    }
}
