//! Splitting lines into words.

use proptest::prelude::*;
use proxy_core::cfgparse::{Env, ParseError, split_lines};

fn words(text: &str) -> Result<Vec<Vec<String>>, ParseError> {
    let env = Env::from_iter([("A", "a b"), ("LIST", " one  two "), ("EMPTY", "")]);
    Ok(split_lines("x.cfg", text.as_bytes(), &env)?.into_iter().map(|line| line.words).collect())
}

#[test]
fn lines_are_split_as_documented() {
    for (text, expected) in [
        ("", vec![]),
        ("  \n# comment\n\t\n", vec![]),
        ("a b\tc\n", vec![vec!["a", "b", "c"]]),
        ("global#this is\ndaemon#daemonize", vec![vec!["global"], vec!["daemon"]]),
        (r"a\ b \#c \\ \' \q \x41\x7e \n", vec![vec!["a b", "#c", r"\", "'", r"\q", "A~", "\n"]]),
        (r#""a b" "it's #1" "\"\$A\"" "\'\x41""#, vec![vec!["a b", "it's #1", "\"$A\"", "'A"]]),
        (r#"'a "b" \x $A #'"#, vec![vec![r#"a "b" \x $A #"#]]),
        (r#"%{+Q}o" %t"' %s'\ %{-Q}r"#, vec![vec!["%{+Q}o %t %s %{-Q}r"]]),
        (r#""" '' x"#, vec![vec!["", "", "x"]]),
        (r#""$A" "${A}" $A "x$A.y" "${A}y""#, vec![vec!["a b", "a b", "$A", "xa b.y", "a by"]]),
        (r#""${NOPE-d e}" "${EMPTY-d}" "${NOPE-}" "${NOPE}""#, vec![vec!["d e", "", "", ""]]),
        (r#""${LIST[*]}" "x${LIST[*]}y" "${LIST}""#, vec![vec!["one", "two", "xone", "twoy", " one  two "]]),
        (r#"a "${EMPTY[*]}" b "${NOPE[*]-c d}" "x${EMPTY[*]}""#, vec![vec!["a", "b", "c", "d", "x"]]),
        (r#""$.FILE:$.LINE:${.SECTION}""#, vec![vec!["x.cfg:1:"]]),
        ("a \\\n  b\\\nc\nd", vec![vec!["a", "bc"], vec!["d"]]),
        ("a \\\r\n b\r\nc\r\n", vec![vec!["a", "b"], vec!["c"]]),
        ("\"a\\\nb\"", vec![vec!["ab"]]),
        ("a \\\\\nb", vec![vec!["a", "\\"], vec!["b"]]),
        ("a # comment \\\nb", vec![vec!["a"], vec!["b"]]),
        ("é \\xc3\\xa9", vec![vec!["é", "é"]]),
    ] {
        assert_eq!(words(text).expect(text), expected, "{text}");
    }
}

#[test]
fn numbers_and_places_survive_continuation() {
    let lines = split_lines("x.cfg", b"a \\\n b\nc \"d e\"\n", &Env::default()).unwrap();
    assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(lines[0].spans, [0..1, 5..6]);
    assert_eq!(lines[1].spans, [7..8, 9..14]);
}

#[test]
fn mistakes_name_file_and_line() {
    for (text, told) in [
        ("a\nb \\\n 'c\n", "parsing [x.cfg:3]: unmatched quote at position 2:\n  'c\n  ^"),
        (
            "a \"${B\"",
            "parsing [x.cfg:1]: unmatched brace in environment variable name at position 5:\n  a \"${B\"\n      ^",
        ),
        ("a\0", "parsing [x.cfg:1]: Stray NUL character at position 2."),
        (
            "é \\xf",
            "parsing [x.cfg:1]: truncated or invalid hexadecimal sequence at position 4:\n  é \\xf\n    ^",
        ),
        (
            "a \\xc3",
            "parsing [x.cfg:1]: byte 0xc3 outside UTF-8 is not supported at position 3:\n  a \\xc3\n    ^",
        ),
        (
            "\"$",
            "parsing [x.cfg:1]: forbidden first char in environment variable name at position 2:\n  \"$\n   ^",
        ),
        (
            "\"$.NOPE\"",
            "parsing [x.cfg:1]: forbidden first char in environment variable name at position 3:\n  \"$.NOPE\"\n    ^",
        ),
    ] {
        assert_eq!(words(text).unwrap_err().to_string(), told, "{text}");
    }
}

#[test]
fn lines_and_words_have_limits() {
    assert!(words(&"a ".repeat(64)).is_ok());
    assert!(words(&"a ".repeat(65)).unwrap_err().to_string().contains("too many words"));
    assert!(words(&"a".repeat(1 << 20)).is_ok());
    assert!(words(&"a".repeat((1 << 20) + 2)).unwrap_err().to_string().contains("line longer than"));
}

/// One of the ways to write a word.
fn quoted(word: &str, how: u8) -> String {
    match how % 3 {
        0 if !word.contains('\'') => format!("'{word}'"),
        1 => {
            let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
            format!("\"{escaped}\"")
        }
        _ => {
            let mut out = String::new();
            for c in word.chars() {
                if matches!(c, ' ' | '#' | '\\' | '\'' | '"') {
                    out.push('\\');
                }
                out.push(c);
            }
            out
        }
    }
}

proptest! {
    #[test]
    fn quoted_words_come_back(list in prop::collection::vec(("[ -~é€]{1,12}", any::<u8>()), 1..12)) {
        let line: Vec<_> = list.iter().map(|(word, how)| quoted(word, *how)).collect();
        let expected: Vec<_> = list.iter().map(|(word, _)| word.clone()).collect();
        prop_assert_eq!(words(&line.join(" ")).unwrap(), [expected]);
    }

    #[test]
    fn any_bytes_are_split_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let env = Env::from_iter([("A", "x y")]);
        if let Ok(lines) = split_lines("x", &bytes, &env) {
            for line in lines {
                prop_assert_eq!(line.words.len(), line.spans.len());
                prop_assert!(!line.words.is_empty());
                prop_assert!(line.spans.iter().all(|span| span.end <= bytes.len()));
            }
        }
    }
}
