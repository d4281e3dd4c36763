//! Expressions and what they give, from tables.

#[path = "support/txn.rs"]
mod support;

use proptest::prelude::*;
use proxy_core::{
    registry::Registry,
    sample::{Sample, expr::Expr, logformat::LogFormat},
    txn::{Direction, Txn},
    vars::VarName,
};
use support::Bench;

const CONFIG: &str = "
listen l
    mode http
    bind 127.0.0.1:23998
    server s1 127.0.0.1:1
    server s2 127.0.0.1:2
backend b
    mode http
    server t1 127.0.0.1:3
";

const REQUEST: &str = "GET /a/b?x=1&y=2 HTTP/1.1
    Accept-Encoding: identity
    Host: Ex.com:80
    Cookie: a=1; b=\"2;3\"; a=3;c
    X-L: a, b ,\"c,d\",,e
    X-IP: 1.2.3.4:80";

fn txn(bench: &Bench) -> Txn {
    let mut txn = bench.request(REQUEST);
    let mut set = |name, value| txn.set_var(&VarName::parse(name).unwrap(), value);
    set("txn.s", Sample::Str(b"hello".to_vec()));
    set("txn.i", Sample::Int(7));
    set("txn.neg", Sample::Int(-3));
    txn
}

/// `[value]`, `-` for none, `! text` for an expression that is refused.
fn value_of(text: &str, bench: &Bench) -> String {
    let registry = Registry::builtin();
    let expr = match Expr::parse(&[text], &mut 0, &registry) {
        Ok(expr) => expr,
        Err(error) => return format!("! {error}"),
    };
    if expr.eval(&mut txn(bench), Direction::Request).is_none() {
        return "-".to_owned();
    }
    let format = LogFormat::parse(&format!("[%[{text}]]"), &registry).unwrap();
    let mut out = Vec::new();
    format.render(&mut txn(bench), Direction::Request, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn check(table: &str) {
    let bench = Bench::new(CONFIG);
    let mut wrong = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with("# ") && !line.starts_with("#  ")) {
        let (expr, expected) = line.rsplit_once('\t').unwrap();
        let got = value_of(expr, &bench);
        let fits = if expected.starts_with("! ") { got.starts_with(expected) } else { got == expected };
        if !fits {
            wrong.push(format!("{expr}\n    expected {expected}\n    got      {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn converters_give_what_haproxy_gives() {
    check(include_str!("samples/converters.txt"));
}

#[test]
fn fetches_give_what_haproxy_gives() {
    check(include_str!("samples/fetches.txt"));
}

/// The same by the plainest means.
fn field_oracle(text: &str, index: i64, count: i64) -> Option<String> {
    let all: Vec<&str> = text.split('_').collect();
    let count = if count <= 0 { all.len() } else { usize::try_from(count).unwrap_or(all.len()).min(all.len()) };
    let skip = usize::try_from(index.unsigned_abs() - 1).ok().filter(|skip| *skip < all.len())?;
    if index > 0 {
        Some(all[skip..(skip + count).min(all.len())].join("_"))
    } else {
        let end = all.len() - skip;
        Some(all[end.saturating_sub(count)..end].join("_"))
    }
}

fn bytes_oracle(text: &str, offset: i64, length: Option<i64>) -> String {
    let (Ok(from), Ok(len)) = (usize::try_from(offset), usize::try_from(length.unwrap_or(i64::MAX))) else {
        return String::new();
    };
    text.chars().skip(from).take(len).collect()
}

fn extreme() -> impl Strategy<Value = i64> {
    let edges = [0, 1, 2, 3, 4, 5, 6, 1 << 31, (1 << 31) - 1, i64::MAX];
    prop_oneof![
        prop::sample::select(edges.to_vec()),
        prop::sample::select(edges.iter().map(|i| -i).collect::<Vec<_>>()),
        Just(i64::MIN),
        -9_i64..9,
        any::<i64>(),
    ]
}

/// Evaluates converters on a text; the input must come out of it as it went in.
fn convert(bench: &Bench, text: &str, converters: &str) -> Option<Vec<u8>> {
    let mut txn = txn(bench);
    let input = VarName::parse("txn.input").unwrap();
    txn.set_var(&input, Sample::Str(text.as_bytes().to_vec()));
    let word = format!("var(txn.input),{converters}");
    let expr = Expr::parse(&[&word], &mut 0, &Registry::builtin()).unwrap();
    let value = expr.eval(&mut txn, Direction::Request).map(Sample::into_text);
    assert_eq!(txn.var(&input), Some(Sample::Str(text.as_bytes().to_vec())), "{word}");
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn pieces_at_the_edges_equal_a_plain_oracle(
        text in prop_oneof!["[ab_]{0,8}", Just("_a".repeat(8192))],
        index in extreme().prop_filter("index 0 is refused", |i| *i != 0),
        count in extreme(),
    ) {
        let bench = Bench::new(CONFIG);
        let got = convert(&bench, &text, &format!("field({index},_,{count})"));
        prop_assert_eq!(got, field_oracle(&text, index, count).map(String::into_bytes));
        let word = convert(&bench, &text, &format!("word({index},_,{count})"));
        prop_assert!(word.is_some_and(|w| w.len() <= text.len()));
    }

    #[test]
    fn bytes_at_the_edges_equal_a_plain_oracle(
        text in prop_oneof!["[a-z]{0,8}", Just("x".repeat(16384))],
        offset in extreme(),
        length in prop::option::of(extreme()),
    ) {
        let bench = Bench::new(CONFIG);
        let args = length.map_or(format!("{offset}"), |length| format!("{offset},{length}"));
        let got = convert(&bench, &text, &format!("bytes({args})"));
        prop_assert_eq!(got, Some(bytes_oracle(&text, offset, length).into_bytes()));
        let chained = convert(&bench, &text, &format!("bytes({args}),bytes({args}),upper,length"));
        prop_assert!(chained.is_some());
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_the_range(x in extreme(), y in extreme()) {
        let bench = Bench::new(CONFIG);
        let clamp = |wide: i128| i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX });
        let (a, b) = (i128::from(x), i128::from(y));
        let cases = [
            ("add", clamp(a + b)),
            ("sub", clamp(a - b)),
            ("mul", clamp(a * b)),
            ("div", if y == 0 { i64::MAX } else { clamp(a / b) }),
            ("mod", if y == 0 { 0 } else { clamp(a % b) }),
            ("and", x & y),
            ("or", x | y),
            ("xor", x ^ y),
        ];
        for (name, expected) in cases {
            prop_assert_eq!(value_of(&format!("int({x}),{name}({y})"), &bench), format!("[{expected}]"), "{}", name);
        }
    }

    #[test]
    fn encodings_undo_themselves(text in prop_oneof!["\\PC{0,40}", "[ -~]{0,40}"]) {
        let bench = Bench::new(CONFIG);
        for round in ["base64,b64dec", "ub64enc,ub64dec", "url_enc,url_dec", "url_enc,url_dec(1)", "reverse,reverse"] {
            prop_assert_eq!(convert(&bench, &text, round), Some(text.clone().into_bytes()), "{}", round);
        }
    }

    #[test]
    fn no_expression_text_panics_the_parser(text in "[a-z(),.'\"\\\\ \\[\\]0-9-]{0,30}") {
        let _ = Expr::parse(&[&text], &mut 0, &Registry::builtin());
        let _ = LogFormat::parse(&format!("%[{text}]%{{{text}"), &Registry::builtin());
    }
}
