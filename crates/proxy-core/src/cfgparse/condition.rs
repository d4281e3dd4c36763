//! Conditions of `.if` and of the command line's `-cc`.
//!
//! Both operands of `&&` and `||` are always read, so that a mistake behind a short circuit is
//! found too. Source: configuration.txt section 2.4.

use std::{cmp::Ordering, collections::BTreeSet};

use super::{Env, ParseError, lexer, version::Version};

/// What conditions can ask about.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// For `defined(…)`.
    pub env: &'a Env,
    /// For all others.
    pub build: &'a Build,
}

/// What the running program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The HAProxy version that it reads configurations of.
    pub version: String,
    /// For `feature(…)`: upper-case names.
    pub features: BTreeSet<String>,
    /// For `enabled(…)`: upper-case names.
    pub enabled: BTreeSet<String>,
}

impl Default for Build {
    fn default() -> Self {
        Self { version: "3.4.0".to_owned(), features: BTreeSet::new(), enabled: BTreeSet::new() }
    }
}

/// Evaluates a condition.
///
/// # Errors
/// It cannot be read; the text is HAProxy's.
pub fn evaluate(expr: &str, facts: &Facts<'_>) -> Result<bool, ParseError> {
    evaluate_at(expr, facts).map_err(|fault| ParseError::new(fault.message))
}

/// Evaluates the argument of `-cc`: quotes and variables are resolved first, as on a line of a file.
///
/// # Errors
/// As [`evaluate`], or the text cannot be split into words.
pub fn evaluate_argument(text: &str, facts: &Facts<'_>) -> Result<bool, ParseError> {
    let mut expr = String::new();
    let mut lexer = lexer::Lexer::new("".into(), text.as_bytes());
    while let Some(line) = lexer.next_line(facts.env, "") {
        let line = line.map_err(|e| ParseError::new(e.message))?;
        if !expr.is_empty() {
            expr.push(' ');
        }
        expr.push_str(&line.words.join(" "));
    }
    evaluate(&expr, facts)
}

/// A mistake and its byte offset in the expression.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) at: usize,
}

pub(super) fn evaluate_at(expr: &str, facts: &Facts<'_>) -> Result<bool, Fault> {
    let mut reader = Reader { text: expr, at: 0, depth: 0, facts };
    reader.blanks();
    if reader.rest().is_empty() {
        return Ok(false);
    }
    let value = reader.alternatives(0)?;
    reader.blanks();
    match reader.rest().chars().next() {
        None => Ok(value),
        Some(c) => Err(Fault {
            message: format!("unexpected character '{c}' at the end of conditional expression '{expr}'"),
            at: reader.at,
        }),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    facts: &'a Facts<'a>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    /// `and || and …`; `before` is where the token in front stands, for errors at the end.
    fn alternatives(&mut self, before: usize) -> Result<bool, Fault> {
        let mut value = self.conjunction(before)?;
        while let Some(operator) = self.operator("||") {
            value |= self.conjunction(operator)?;
        }
        Ok(value)
    }

    fn conjunction(&mut self, before: usize) -> Result<bool, Fault> {
        let mut value = self.term(before)?;
        while let Some(operator) = self.operator("&&") {
            value &= self.term(operator)?;
        }
        Ok(value)
    }

    fn operator(&mut self, token: &str) -> Option<usize> {
        self.blanks();
        let at = self.at;
        self.rest().starts_with(token).then(|| {
            self.at += token.len();
            at
        })
    }

    fn term(&mut self, before: usize) -> Result<bool, Fault> {
        self.blanks();
        let start = self.at;
        let rest = self.rest();
        self.depth += 1;
        if rest.is_empty() || self.depth > DEPTH_MAX {
            return Err(self.unparsable(before));
        }
        let value = match rest.as_bytes()[0] {
            b'!' => {
                self.at += 1;
                !self.term(start)?
            }
            b'(' => {
                self.at += 1;
                let value = self.alternatives(start)?;
                if self.operator(")").is_none() {
                    let open = &self.text[start..];
                    let message = format!("expected ')' after conditional expression '{open}'");
                    return Err(Fault { message, at: start });
                }
                value
            }
            _ => match self.integer() {
                Some(value) => value,
                None => self.predicate()?,
            },
        };
        self.depth -= 1;
        Ok(value)
    }

    fn unparsable(&self, at: usize) -> Fault {
        Fault { message: format!("unparsable conditional expression '{}'", &self.text[at..]), at }
    }

    /// An integer as C reads it; only whether it is zero counts.
    fn integer(&mut self) -> Option<bool> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with(['+', '-']));
        let hex = rest[sign..].starts_with("0x") || rest[sign..].starts_with("0X");
        let start = sign + if hex { 2 } else { 0 };
        let len = rest[start..].bytes().take_while(|b| is_digit(*b, hex)).count();
        if len == 0 {
            return None;
        }
        self.at += start + len;
        Some(rest[start..start + len].bytes().any(|b| b != b'0'))
    }

    fn predicate(&mut self) -> Result<bool, Fault> {
        let start = self.at;
        let rest = self.rest();
        let len = rest.bytes().take_while(|b| b.is_ascii_lowercase() || *b == b'_').count();
        let name = &rest[..len];
        let Some((_, arity)) = PREDICATES.iter().find(|(known, _)| *known == name) else {
            return Err(self.unparsable(start));
        };
        self.at += len;
        let args = self.arguments(name, *arity)?;
        let arg = |n: usize| args.get(n).map_or("", String::as_str);
        let first = arg(0);
        let build = self.facts.build;
        Ok(match name {
            "defined" => self.facts.env.value(first).is_some(),
            "feature" => build.features.contains(first),
            "enabled" => {
                if !OPTIONS.contains(&first) {
                    let known = OPTIONS.join(", ");
                    let message =
                        format!("unknown option '{first}' in predicate 'enabled', expects one of {known}");
                    return Err(Fault { message, at: start });
                }
                build.enabled.contains(first)
            }
            "streq" => first == arg(1),
            "strneq" => first != arg(1),
            "strstr" => first.contains(arg(1)),
            "version_atleast" => self.compare(first, start)? != Ordering::Less,
            "version_before" => self.compare(first, start)? == Ordering::Less,
            // There is no TLS library in this program.
            _ => false,
        })
    }

    /// How our version compares to the named one.
    fn compare(&self, named: &str, at: usize) -> Result<Ordering, Fault> {
        match (Version::parse(&self.facts.build.version), Version::parse(named)) {
            (Some(ours), Some(named)) => Ok(ours.cmp(&named)),
            _ => Err(Fault { message: format!("cannot read version '{named}'"), at }),
        }
    }

    /// `(a,b)` with the quoting of keyword arguments.
    fn arguments(&mut self, name: &str, arity: usize) -> Result<Vec<String>, Fault> {
        let role = format!("in argument 1 of predicate '{name}' used in conditional expression");
        let mut args = vec![String::new()];
        if !self.rest().starts_with('(') {
            return self.enough(args, arity, name);
        }
        self.at += 1;
        let mut quote = None;
        let mut chars = self.rest().char_indices();
        let base = self.at;
        while let Some((offset, c)) = chars.next() {
            let full = args.len() == arity;
            let open = args.last_mut().expect("there is one from the start");
            match (quote, c) {
                (None, ')') => {
                    self.at = base + offset;
                    let args = self.enough(args, arity, name)?;
                    self.at += 1;
                    return Ok(args);
                }
                (None, ',') if full => {
                    let rest = &self.text[base + offset..];
                    return Err(Fault {
                        message: format!("expected ')' before '{rest}' {role}"),
                        at: base + offset,
                    });
                }
                (None, ',') => args.push(String::new()),
                (None, '"' | '\'') => quote = Some(c),
                (Some(q), _) if q == c => quote = None,
                (None | Some('"'), '\\') => match chars.next() {
                    Some((_, 'n')) => open.push('\n'),
                    Some((_, 'r')) => open.push('\r'),
                    Some((_, 't')) => open.push('\t'),
                    Some((_, escaped @ (' ' | '"' | '\'' | '\\' | ',' | ')' | '('))) => open.push(escaped),
                    Some((_, other)) => open.extend(['\\', other]),
                    None => open.push('\\'),
                },
                _ => open.push(c),
            }
        }
        self.at = self.text.len();
        let args = self.enough(args, arity, name)?;
        drop(args);
        Err(Fault { message: format!("expected ')' {role}"), at: self.at })
    }

    fn enough(&self, args: Vec<String>, arity: usize, name: &str) -> Result<Vec<String>, Fault> {
        if args.len() >= arity {
            return Ok(args);
        }
        let got = args.len();
        Err(Fault {
            message: format!(
                "missing arguments (got {got}/{arity}), type 'string' expected in argument {got} of predicate \
                 '{name}' used in conditional expression"
            ),
            at: self.at,
        })
    }
}

fn is_digit(byte: u8, hex: bool) -> bool {
    if hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() }
}

/// Name and number of arguments.
const PREDICATES: &[(&str, usize)] = &[
    ("awslc_api_atleast", 1),
    ("awslc_api_before", 1),
    ("defined", 1),
    ("enabled", 1),
    ("feature", 1),
    ("openssl_version_atleast", 1),
    ("openssl_version_before", 1),
    ("ssllib_name_startswith", 1),
    ("streq", 2),
    ("strneq", 2),
    ("strstr", 2),
    ("version_atleast", 1),
    ("version_before", 1),
];

/// What `enabled(…)` may ask about.
const OPTIONS: &[&str] = &[
    "POLL",
    "EPOLL",
    "KQUEUE",
    "EVPORTS",
    "SPLICE",
    "GETADDRINFO",
    "REUSEPORT",
    "FAST-FORWARD",
    "SERVER-SSL-VERIFY-NONE",
];

/// Nested parentheses and negations.
const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expr: &str) -> String {
        let env = Env::from_iter([("HOME", "/h"), ("EMPTY", "")]);
        let build = Build {
            features: BTreeSet::from(["EPOLL".to_owned()]),
            enabled: BTreeSet::from(["EPOLL".to_owned()]),
            ..Build::default()
        };
        match evaluate_at(expr, &Facts { env: &env, build: &build }) {
            Ok(value) => value.to_string(),
            Err(fault) => format!("{}: {}", fault.at + 1, fault.message),
        }
    }

    #[test]
    fn expressions_have_the_values_that_haproxy_gives_them() {
        for (expr, value) in [
            ("", false),
            (" 1 ", true),
            ("0", false),
            ("-1", true),
            ("-0", false),
            ("0x1", true),
            ("99999999999999999999", true),
            ("!1", false),
            ("!!1", true),
            (" !  1", false),
            ("( 1 )", true),
            ("((1))", true),
            ("1&&1", true),
            ("0 && 1 || 1", true),
            ("1 || 0 && 0", true),
            ("!(0||1)", false),
            ("!0 && !(1 && 0)", true),
            ("defined(HOME)", true),
            ("defined(EMPTY)", true),
            ("defined(NOPE)", false),
            ("defined()", false),
            ("defined", false),
            ("streq(a,a)", true),
            ("streq(a, a)", false),
            ("streq(,)", true),
            (r#"streq("a,b",a\,b)"#, true),
            (r"streq('\n',\\n)", true),
            ("strneq(a,b)", true),
            ("strstr(abc,b)", true),
            ("strstr(abc,d)", false),
            ("streq(a,a) && 0", false),
            ("feature(EPOLL)", true),
            ("feature(OPENSSL)", false),
            ("enabled(EPOLL)", true),
            ("enabled(SPLICE)", false),
            ("version_atleast(3.4)", true),
            ("version_atleast(3.4.0)", true),
            ("version_atleast(3.4.1)", false),
            ("version_atleast(3.4-dev12)", true),
            ("version_atleast(2.4-dev19)", true),
            ("version_atleast(3.4-rc1)", true),
            ("version_atleast(3.4.0-1)", false),
            ("version_atleast()", true),
            ("version_before(3.4)", false),
            ("version_before(3.5-dev0)", true),
            ("openssl_version_atleast(1.1.1)", false),
        ] {
            assert_eq!(check(expr), value.to_string(), "{expr}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_position() {
        for (expr, told) in [
            ("foo", "1: unparsable conditional expression 'foo'"),
            ("1 &&", "3: unparsable conditional expression '&&'"),
            ("1 &&&& 1", "5: unparsable conditional expression '&& 1'"),
            ("!", "1: unparsable conditional expression '!'"),
            ("(", "1: unparsable conditional expression '('"),
            ("()", "2: unparsable conditional expression ')'"),
            ("0 && foo", "6: unparsable conditional expression 'foo'"),
            ("1 & 0", "3: unexpected character '&' at the end of conditional expression '1 & 0'"),
            ("(1))", "4: unexpected character ')' at the end of conditional expression '(1))'"),
            ("(1 && 0", "1: expected ')' after conditional expression '(1 && 0'"),
            (
                "streq(a",
                "8: missing arguments (got 1/2), type 'string' expected in argument 1 of predicate 'streq' used \
                 in conditional expression",
            ),
            (
                "streq(a,b",
                "10: expected ')' in argument 1 of predicate 'streq' used in conditional expression",
            ),
            (
                "feature(a,b)",
                "10: expected ')' before ',b)' in argument 1 of predicate 'feature' used in conditional expression",
            ),
            ("version_atleast(x)", "1: cannot read version 'x'"),
        ] {
            assert_eq!(check(expr), told, "{expr}");
        }
    }

    #[test]
    fn arguments_of_the_command_line_are_split_as_lines_are() {
        let env = Env::from_iter([("HOME", "/h")]);
        let facts = Facts { env: &env, build: &Build::default() };
        let check = |text: &str| evaluate_argument(text, &facts).map_err(|e| e.message);
        assert_eq!(check(""), Ok(false));
        assert_eq!(check("streq(\"$HOME\",/h)"), Ok(true));
        assert_eq!(check("streq($HOME,/h)"), Ok(false));
        assert_eq!(check("1   && # a comment\n 1"), Ok(true));
        assert!(check("streq(\"a,b\",\"a,b\")").unwrap_err().starts_with("expected ')' before ',a,b)'"));
        assert!(check("\"").unwrap_err().starts_with("unmatched quote"));
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(check(&"(".repeat(10_000)).contains("unparsable"));
        assert!(check(&"!".repeat(10_000)).contains("unparsable"));
    }
}
