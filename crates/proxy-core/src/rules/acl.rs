//! ACLs and conditions. Source: configuration.txt 7.1, 7.2, 7.4.
//!
//! ```text
//!   acl NAME criterion [flags] patterns      one test; several of a name are alternatives
//!   if A !B || { criterion patterns }        alternatives of conjunctions
//! ```
//!
//! A test answers yes, no, or "not yet": no, but more data could change that.

use std::sync::{Arc, OnceLock};

use super::pattern::{Method, Operators};
use crate::{
    cfgparse::ParseError,
    pattern_ref::PatternList,
    registry::Registry,
    sample::{
        Fetch, SampleRef, SampleType,
        expr::{Expr, id_end, whole},
    },
    txn::{Direction, Txn},
};

/// The ACLs declared in a section. A clone's additions stay its own.
#[derive(Default)]
pub struct AclTable {
    acls: Vec<(Box<str>, Arc<Acl>)>,
}

/// Alternatives. They are appended while conditions already hold the ACL.
#[derive(Default)]
struct Acl {
    first: OnceLock<Box<Link>>,
}

struct Link {
    test: Test,
    next: OnceLock<Box<Link>>,
}

/// One `acl` line, or what stands between braces.
#[derive(Clone)]
struct Test {
    expr: Expr,
    method: Method,
    /// Those of files, then those of the line itself.
    lists: Vec<PatternList>,
}

impl AclTable {
    /// Adds an `acl NAME CRITERION …` line; `words[0]` is the name.
    ///
    /// # Errors
    /// A malformed criterion, flag or pattern.
    pub fn add(&mut self, words: &[&str], registry: &Registry) -> Result<(), ParseError> {
        let name = words.first().copied().unwrap_or_default();
        check_name(name)?;
        let test = Test::parse(&words[1.min(words.len())..], registry).map_err(|e| {
            let message = format!("error detected while parsing ACL '{name}' : {}.", e.message);
            ParseError { message, word: e.word.map(|word| word + 1) }
        })?;
        match self.acls.iter().find(|(known, _)| **known == *name) {
            Some((_, acl)) => acl.append(test),
            None => {
                let acl = Acl::default();
                acl.append(test);
                self.acls.push((name.into(), Arc::new(acl)));
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<Arc<Acl>> {
        self.acls.iter().find(|(known, _)| **known == *name).map(|(_, acl)| Arc::clone(acl))
    }
}

impl Clone for AclTable {
    fn clone(&self) -> Self {
        let copy = |acl: &Acl| {
            let new = Acl::default();
            acl.links().for_each(|link| new.append(link.test.clone()));
            Arc::new(new)
        };
        Self { acls: self.acls.iter().map(|(name, acl)| (name.clone(), copy(acl))).collect() }
    }
}

fn check_name(name: &str) -> Result<(), ParseError> {
    if name.is_empty() {
        return Err(ParseError::new("acl expects a name and a criterion"));
    }
    if let Some(bad) =
        name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')))
    {
        return Err(ParseError::at(0, format!("character '{bad}' is not permitted in acl name '{name}'")));
    }
    if name == "or" {
        let text = format!(
            "acl name '{name}' will never match. 'or' is used to express a logical disjunction within a condition"
        );
        return Err(ParseError::at(0, text));
    }
    Ok(())
}

impl Acl {
    fn append(&self, test: Test) {
        let mut place = &self.first;
        while let Some(link) = place.get() {
            place = &link.next;
        }
        // Sections are read by one thread, so the place is still free.
        let _ = place.set(Box::new(Link { test, next: OnceLock::new() }));
    }

    /// Whether one of the alternatives holds; `None` while that is open.
    fn decide(&self, txn: &mut Txn, direction: Direction) -> Option<bool> {
        let mut verdict = Some(false);
        for link in self.links() {
            match link.test.decide(txn, direction) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => verdict = None,
            }
        }
        verdict
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        std::iter::successors(self.first.get(), |link| link.next.get()).map(Box::as_ref)
    }
}

impl Test {
    /// Compiles a criterion with its flags and patterns.
    fn parse(words: &[&str], registry: &Registry) -> Result<Self, ParseError> {
        let word = words.first().copied().unwrap_or_default();
        let criterion = Criterion::find(word, registry);
        let in_acl = |e: ParseError| {
            let (wrote, name) = (&word[..id_end(word)], request_name(&word[..id_end(word)]));
            let text =
                e.message.replacen(&format!("fetch method '{name}'"), &format!("ACL keyword '{wrote}'"), 1);
            let text = if wrote == name { e.message } else { text };
            ParseError::at(0, format!("{text} in ACL expression '{word}'"))
        };
        let (expr, end) = Expr::parse_with(word, registry, &|_| criterion.fetch.clone()).map_err(in_acl)?;
        whole(word, end).map_err(in_acl)?;
        let implied = criterion.method.filter(|_| !expr.has_converters());
        let (method, lists) = Self::patterns(words, implied, &expr, registry)?;
        Ok(Self { expr, method, lists })
    }

    /// Reads flags and patterns behind the criterion.
    fn patterns(
        words: &[&str],
        implied: Option<Method>,
        expr: &Expr,
        registry: &Registry,
    ) -> Result<(Method, Vec<PatternList>), ParseError> {
        let (flags, at) = Flags::parse(words)?;
        let name = &words[0][..id_end(words[0])];
        let method = flags.method.or(implied).or_else(|| Method::of_type(expr.output()));
        let Some(method) = method else {
            let text = format!(
                "matching method must be specified first (using '-m') when using a sample fetch of this type ('{name}')"
            );
            return Err(ParseError::at(0, text));
        };
        let refs = &registry.patterns;
        let mut lists = Vec::new();
        for (file, ignore_case, place) in flags.files {
            let list = refs.acl(file, flags.as_map, method, ignore_case);
            lists.push(list.map_err(|e| ParseError::at(place, e.message))?);
        }
        let own = refs.inline(name, flags.id, method, flags.ignore_case)?;
        let numbers = matches!(method, Method::Int | Method::Len);
        let mut operators = Operators::default();
        for (place, word) in words.iter().enumerate().skip(at) {
            let text = if numbers { operators.word(word) } else { Ok(Some((*word).to_owned())) };
            text.and_then(|text| text.map_or(Ok(()), |text| own.load(&text)))
                .map_err(|e| ParseError::at(place, e.message))?;
        }
        lists.push(own);
        Ok((method, lists))
    }

    fn decide(&self, txn: &mut Txn, direction: Direction) -> Option<bool> {
        txn.sampling.may_change = false;
        let found = self.expr.scan(txn, direction, &mut |value| self.matches(value));
        match found {
            Some(true) => Some(true),
            _ if txn.sampling.may_change => None,
            _ => Some(false),
        }
    }
}

impl Test {
    fn matches(&self, value: SampleRef<'_>) -> bool {
        match self.method {
            Method::Found => true,
            Method::Bool => value.int().is_some_and(|i| i != 0),
            _ => self.lists.iter().any(|list| list.matches(value)),
        }
    }
}

/// The flags between criterion and patterns.
#[derive(Default)]
struct Flags<'a> {
    method: Option<Method>,
    ignore_case: bool,
    /// `-M`
    as_map: bool,
    /// `-u`
    id: Option<u32>,
    /// Names after `-f`, whether case is ignored in them, and where they stand.
    files: Vec<(&'a str, bool, usize)>,
}

impl<'a> Flags<'a> {
    /// Reads the flags from `words[1]` on; gives them and where the patterns begin.
    fn parse(words: &[&'a str]) -> Result<(Self, usize), ParseError> {
        let mut flags = Self::default();
        let mut at = 1;
        while let Some(flag) = words.get(at).copied().filter(|w| w.len() > 1 && w.starts_with('-')) {
            let operand = words.get(at + 1).copied().ok_or_else(|| {
                ParseError::at(at, format!("'{flag}' expects an argument in ACL expression '{}'", words[0]))
            });
            at += match flag {
                "-i" => {
                    flags.ignore_case = true;
                    1
                }
                "-n" => 1,
                "--" => return Ok((flags, at + 1)),
                "-u" => {
                    let id = operand?;
                    let unreadable = || {
                        ParseError::at(at + 1, format!("the argument of -u must be an integer (got '{id}')"))
                    };
                    flags.id = Some(id.parse().map_err(|_| unreadable())?);
                    2
                }
                "-M" => {
                    flags.as_map = true;
                    1
                }
                "-f" => {
                    flags.files.push((operand?, flags.ignore_case, at + 1));
                    2
                }
                "-m" => {
                    flags.set_method(operand?, at)?;
                    2
                }
                other => {
                    let text = format!(
                        "'{other}' is not a valid ACL option. Please use '--' before any pattern beginning with a '-'"
                    );
                    return Err(ParseError::at(at, text));
                }
            };
        }
        Ok((flags, at))
    }

    fn set_method(&mut self, name: &str, at: usize) -> Result<(), ParseError> {
        if self.method.is_some() {
            return Err(ParseError::at(at, "several '-m' matching methods are not allowed"));
        }
        if !self.files.is_empty() {
            return Err(ParseError::at(at, "'-m' must be specified before '-f'"));
        }
        let unknown = || {
            ParseError::at(at + 1, format!("unknown matching method '{name}' when parsing ACL expression"))
        };
        self.method = Some(Method::from_name(name).ok_or_else(unknown)?);
        Ok(())
    }
}

/// A criterion's fetch, and the method that its name implies.
struct Criterion {
    fetch: Option<Arc<dyn Fetch>>,
    method: Option<Method>,
}

impl Criterion {
    fn find(word: &str, registry: &Registry) -> Self {
        let name = &word[..id_end(word)];
        if let Some(fetch) = registry.fetches.get(request_name(name)) {
            return Self { fetch: Some(Arc::clone(fetch)), method: None };
        }
        let derived = name.rsplit_once('_').and_then(|(base, suffix)| {
            let method = SUFFIXES.iter().find(|(known, _)| *known == suffix)?.1;
            let fetch = registry.fetches.get(request_name(base)).filter(|f| f.output() == SampleType::Str)?;
            Some((Arc::clone(fetch), method))
        });
        match derived {
            Some((fetch, method)) => Self { fetch: Some(fetch), method: Some(method) },
            None => Self { fetch: None, method: None },
        }
    }
}

/// In ACLs the names without a direction mean the request.
fn request_name(name: &str) -> &str {
    match name {
        "hdr" => "req.hdr",
        "hdr_cnt" => "req.hdr_cnt",
        "hdr_ip" => "req.hdr_ip",
        "hdr_val" => "req.hdr_val",
        other => other,
    }
}

/// A compiled `if …` or `unless …`.
#[derive(Clone)]
pub struct Cond {
    unless: bool,
    /// Alternatives of conjunctions.
    any: Vec<Vec<Term>>,
}

#[derive(Clone)]
struct Term {
    negated: bool,
    acl: Arc<Acl>,
}

impl Cond {
    /// Compiles it: `words[0]` is `if` or `unless`; `local` ACLs are asked before `section` ones.
    ///
    /// # Errors
    /// An unknown ACL or a malformed anonymous one.
    pub fn parse(
        words: &[&str],
        local: Option<&AclTable>,
        section: &AclTable,
        registry: &Registry,
    ) -> Result<Self, ParseError> {
        let unless = match words.first() {
            Some(&"if") => false,
            Some(&"unless") => true,
            other => {
                let found = other.copied().unwrap_or_default();
                return Err(ParseError::at(
                    0,
                    format!("expects either 'if' or 'unless' but found '{found}'"),
                ));
            }
        };
        let mut any = Vec::new();
        let mut all: Vec<Term> = Vec::new();
        let mut negated = false;
        let mut at = 1;
        while let Some(mut word) = words.get(at).copied() {
            if word == "||" || word == "or" {
                if all.is_empty() || negated {
                    return Err(ParseError::at(at, format!("missing ACL before '{word}' in condition")));
                }
                any.push(std::mem::take(&mut all));
                at += 1;
                continue;
            }
            while let Some(rest) = word.strip_prefix('!') {
                negated = !negated;
                word = rest;
            }
            if word.is_empty() {
                at += 1;
                continue;
            }
            let acl = if word == "{" {
                let end = words[at..].iter().position(|w| *w == "}").map(|len| at + len);
                let end = end.ok_or_else(|| ParseError::at(at, "missing closing '}' in condition"))?;
                let test = Test::parse(&words[at + 1..end], registry)
                    .map_err(|e| ParseError { word: e.word.map(|w| w + at + 1), ..e })?;
                at = end;
                let acl = Acl::default();
                acl.append(test);
                Arc::new(acl)
            } else {
                let found = local.and_then(|table| table.find(word)).or_else(|| section.find(word));
                match found {
                    Some(acl) => acl,
                    None => predefined(word, registry)
                        .ok_or_else(|| ParseError::at(at, format!("no such ACL : '{word}'")))?,
                }
            };
            all.push(Term { negated: std::mem::take(&mut negated), acl });
            at += 1;
        }
        if all.is_empty() || negated {
            return Err(ParseError::at(words.len() - 1, "missing ACL at the end of the condition"));
        }
        any.push(all);
        Ok(Self { unless, any })
    }

    /// Whether the rule applies.
    pub fn holds(&self, txn: &mut Txn, direction: Direction) -> bool {
        self.decide(txn, direction).unwrap_or(false)
    }

    /// Whether the rule applies; `None` while more data could change the answer.
    pub fn decide(&self, txn: &mut Txn, direction: Direction) -> Option<bool> {
        let mut verdict = Some(false);
        for all in &self.any {
            let mut suite = Some(true);
            for term in all {
                match term.acl.decide(txn, direction) {
                    Some(holds) if holds == term.negated => {
                        suite = Some(false);
                        break;
                    }
                    Some(_) => {}
                    None => suite = None,
                }
            }
            match suite {
                Some(true) => return Some(!self.unless),
                Some(false) => {}
                None => verdict = None,
            }
        }
        verdict.map(|holds| holds != self.unless)
    }
}

/// An ACL that needs no declaration.
fn predefined(name: &str, registry: &Registry) -> Option<Arc<Acl>> {
    let words = PREDEFINED.iter().find(|(known, _)| *known == name)?.1;
    let acl = Acl::default();
    acl.append(Test::parse(words, registry).ok()?);
    Some(Arc::new(acl))
}

const SUFFIXES: [(&str, Method); 7] = [
    ("beg", Method::Beg),
    ("dir", Method::Dir),
    ("dom", Method::Dom),
    ("end", Method::End),
    ("len", Method::Len),
    ("reg", Method::Reg),
    ("sub", Method::Sub),
];

/// Name and criterion with patterns, as configuration.txt 7.4 lists them.
const PREDEFINED: &[(&str, &[&str])] = &[
    ("FALSE", &["always_false"]),
    ("HTTP", &["req.proto_http"]),
    ("HTTP_1.0", &["req.ver", "1.0"]),
    ("HTTP_1.1", &["req.ver", "1.1"]),
    ("HTTP_2.0", &["req.ver", "2.0"]),
    ("HTTP_3.0", &["req.ver", "3.0"]),
    ("HTTP_CONTENT", &["req.hdr_val(content-length)", "gt", "0"]),
    ("HTTP_URL_ABS", &["url_reg", "^[^/:]*://"]),
    ("HTTP_URL_SLASH", &["url_beg", "/"]),
    ("HTTP_URL_STAR", &["url", "*"]),
    ("LOCALHOST", &["src", "127.0.0.1/8", "::1"]),
    ("METH_CONNECT", &["method", "CONNECT"]),
    ("METH_DELETE", &["method", "DELETE"]),
    ("METH_GET", &["method", "GET", "HEAD"]),
    ("METH_HEAD", &["method", "HEAD"]),
    ("METH_OPTIONS", &["method", "OPTIONS"]),
    ("METH_POST", &["method", "POST"]),
    ("METH_PUT", &["method", "PUT"]),
    ("METH_TRACE", &["method", "TRACE"]),
    ("REQ_CONTENT", &["req.len", "gt", "0"]),
    ("TRUE", &["always_true"]),
    ("WAIT_END", &["wait_end"]),
];
