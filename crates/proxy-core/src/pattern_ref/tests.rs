//! References as ACLs, maps and commands see them.

use std::{
    io::Write as _,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;

use super::{EditError, Output, PatternEvent, PatternList, PatternRef, PatternRefs};
use crate::{host::PatternObserver, rules::pattern::Method, sample::SampleRef};

fn map(refs: &PatternRefs, method: Method, lines: &str) -> PatternList {
    let list = refs.map(&format!("virt@{}", method.name()), method, Output::Str).unwrap();
    for line in lines.lines() {
        let (key, value) = line.split_once(' ').unwrap();
        list.reference().add(None, key.as_bytes(), Some(value.as_bytes())).unwrap();
    }
    list
}

fn look(list: &PatternList, text: &str) -> String {
    let found = list.text(SampleRef::Str(text.as_bytes()));
    found.map_or("-".to_owned(), |text| String::from_utf8(text).unwrap())
}

/// A method, lines of a map, and what some texts find.
type Case = (Method, &'static str, &'static [(&'static str, &'static str)]);

#[test]
fn each_method_finds_the_finest_or_the_first() {
    let cases: &[Case] = &[
        (Method::Str, "a 1\na 2\nB 3", &[("a", "1"), ("b", "-"), ("B", "3"), ("", "-")]),
        (
            Method::Beg,
            "/ root\n/api api\n/api/v1 v1\n/apix x",
            &[("/api/v2", "api"), ("/api/v1/x", "v1"), ("/apixy", "x"), ("/zz", "root"), ("zz", "-")],
        ),
        (Method::End, ".com com\nx.com x\n.org o", &[("y.x.com", "com"), ("a.org", "o"), ("com", "-")]),
        (Method::Sub, "b 1\nab 2", &[("aab", "1"), ("xx", "-")]),
        (Method::Dir, "/b/ 1\nb/c 2\nc 3", &[("/a/b/c", "1"), ("/b/c?x", "1"), ("/x/c", "3"), ("/bc", "-")]),
        (
            Method::Dom,
            "example.com 1\nwww 2",
            &[("www.example.com:80", "1"), ("http://www/x", "2"), ("wwwx.example.comx", "-")],
        ),
        (
            Method::Int,
            "1 one\n5:10 five\n7 seven\n:0 none",
            &[("1", "one"), ("7", "five"), ("-3", "none"), ("11", "-")],
        ),
        (
            Method::Ip,
            "10.0.0.0/8 ten\n10.1.0.0/16 fine\n10.0.0.0/8 late\n::1 six\n0.0.0.0/0 all",
            &[
                ("10.1.2.3", "fine"),
                ("10.2.2.3", "ten"),
                ("::1", "six"),
                ("::ffff:10.1.0.1", "fine"),
                ("2001::", "-"),
            ],
        ),
        (Method::Reg, "^a ([a]\n[0-9]+ num\n^a a", &[("a1", "([a]"), ("b1", "num"), ("c", "-")]),
    ];
    for (method, lines, looks) in cases {
        let refs = PatternRefs::default();
        let list = map(&refs, *method, lines);
        for (text, expected) in *looks {
            assert_eq!(look(&list, text), *expected, "{method:?} of {text}");
        }
        refs.seal();
        assert_eq!(look(&list, looks[0].0), looks[0].1, "frozen, {method:?}");
    }
}

#[test]
fn back_references_are_expanded() {
    let refs = PatternRefs::default();
    let list = refs.map("virt@m", Method::Reg, Output::Expanded).unwrap();
    list.reference().add(None, b"^/(.*)-(.)", Some(b"\\2/\\1")).unwrap();
    assert_eq!(look(&list, "/abc-d"), "d/abc");
}

#[test]
fn uses_share_entries_and_all_must_read_them() {
    let refs = PatternRefs::default();
    let text = map(&refs, Method::Str, "a 1\nb 2");
    let number = refs.map("virt@str", Method::Str, Output::Int).unwrap();
    assert!(Arc::ptr_eq(text.reference(), number.reference()));
    assert_eq!(
        number.reference().add(None, b"c", Some(b"x")).unwrap_err().to_string(),
        "unable to parse 'x'."
    );
    let refused = refs.map("virt@str", Method::Ip, Output::Str).unwrap_err();
    assert_eq!(refused.message, "'a' is not a valid IPv4 or IPv6 address");
    assert_eq!(refs.map("virt@str", Method::Str, Output::Ip).unwrap_err().message, "unable to parse '1'");
    number.reference().add(None, b"c", Some(b"3")).unwrap();
    assert_eq!(look(&text, "c"), "3");
}

#[test]
fn files_are_shared_by_name_and_errors_name_the_line() {
    let mut file = tempfile();
    write!(file.1, "# comment\n\n  k1   v1 with blanks \t\nk2\n #k3 v3\nk1 again\n").unwrap();
    let path = file.0.to_str().unwrap();
    let refs = PatternRefs::default();
    let list = refs.map(path, Method::Str, Output::Str).unwrap();
    assert_eq!(["k1", "k2", "#k3", "k4"].map(|key| look(&list, key)), ["v1 with blanks", "", "v3", "-"]);
    for name in [format!("file@{path}"), format!("opt@{path}")] {
        let other = refs.map(&name, Method::Str, Output::Str).unwrap();
        assert!(Arc::ptr_eq(other.reference(), list.reference()), "{name}");
    }
    let refused = refs.map(path, Method::Int, Output::Str).unwrap_err();
    assert_eq!(refused.message, format!("'k1' is not a number at line 3 of file '{path}'"));
    let refused = refs.acl(path, false, Method::Str, false).unwrap_err();
    assert_eq!(
        refused.message,
        format!(
            "The file \"{path}\" is already used as two column file and cannot be used by as one column file."
        )
    );
    assert!(refs.acl(path, true, Method::Beg, false).unwrap().matches(SampleRef::Str(b"k1x")));
    let missing = refs.map("/does/not/exist", Method::Str, Output::Str).unwrap_err();
    assert_eq!(missing.message, "failed to open pattern file </does/not/exist>");
    refs.map("opt@/does/not/exist", Method::Str, Output::Str).unwrap();
    refs.seal();
    refs.map(path, Method::Str, Output::Str).unwrap();
    let late = refs.map(path, Method::Dom, Output::Str).unwrap_err();
    assert_eq!(late.message, "map: cannot load map at runtime.");
    std::fs::remove_file(file.0).unwrap();
}

fn tempfile() -> (std::path::PathBuf, std::fs::File) {
    let path = std::env::temp_dir().join(format!("proxy-core-map-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    (path, file)
}

#[test]
fn a_prepared_version_is_seen_at_once_or_not_at_all() {
    let refs = PatternRefs::default();
    let list = map(&refs, Method::Str, "a old\nb old");
    refs.seal();
    let reference = list.reference();
    let (first, second) = (reference.prepare(), reference.prepare());
    assert_eq!((first, second), (1, 2));
    reference.add(Some(second), b"a", Some(b"new")).unwrap();
    assert_eq!(look(&list, "a"), "old");
    assert_eq!(reference.entries(Some(second), 0, 9).len(), 1);
    assert_eq!(reference.add(Some(9), b"a", Some(b"x")), Err(EditError::Future("map")));
    assert_eq!(reference.commit(9), Err(EditError::OutOfRange));
    reference.commit(second).unwrap();
    assert_eq!((look(&list, "a"), look(&list, "b")), ("new".to_owned(), "-".to_owned()));
    assert_eq!(reference.commit(first), Err(EditError::OutOfRange), "superseded");
    assert_eq!(reference.versions(), (2, 2));
    let newer = reference.prepare();
    reference.clear(None);
    assert_eq!(look(&list, "a"), "-");
    reference.commit(newer).unwrap();
}

#[test]
fn changes_are_told_in_order_once_watched() {
    struct Told(Mutex<Vec<PatternEvent>>);
    impl PatternObserver for Told {
        fn on_pattern_event(&self, reference: &PatternRef, event: PatternEvent) {
            // It may look.
            let _ = reference.versions();
            self.0.lock().unwrap().push(event);
        }
    }
    let refs = PatternRefs::default();
    let told = Arc::new(Told(Mutex::default()));
    refs.observe(told.clone());
    let list = map(&refs, Method::Str, "a 1");
    let reference = list.reference();
    reference.add(None, b"unseen", Some(b"1")).unwrap();
    reference.watch();
    reference.add(None, b"b", Some(b"1")).unwrap();
    reference.set_or_add(None, b"b", b"2").unwrap();
    reference.set_or_add(None, b"c", b"2").unwrap();
    assert!(reference.del(None, b"c") && !reference.del(None, b"c"));
    let version = reference.prepare();
    reference.add(Some(version), b"z", Some(b"1")).unwrap();
    reference.set(Some(version), b"z", b"2").unwrap();
    assert!(reference.del(Some(version), b"z"));
    reference.commit(version).unwrap();
    reference.clear(None);
    reference.purge();
    use PatternEvent::{Add, Clear, Commit, Del, Set};
    assert_eq!(*told.0.lock().unwrap(), [Add, Set, Add, Del, Commit, Clear, Clear]);
}

/// What an index must agree with: a walk over the keys.
fn walk(method: Method, keys: &[String], text: &str) -> Option<usize> {
    let delimiter = |b: u8| match method {
        Method::Dir => b"/?".contains(&b),
        _ => b"/?.:".contains(&b),
    };
    let word = |key: &str| {
        let key = match method {
            Method::Dir => key.trim_matches('/'),
            _ => key.trim_matches(['/', '?', '.', ':']),
        };
        !key.is_empty()
            && text.match_indices(key).any(|(at, _)| {
                let bytes = text.as_bytes();
                (at == 0 || delimiter(bytes[at - 1]))
                    && bytes.get(at + key.len()).is_none_or(|b| delimiter(*b))
            })
    };
    let hits = keys.iter().enumerate().filter(|(_, key)| match method {
        Method::Str => *key == text,
        Method::Beg => text.starts_with(key.as_str()),
        Method::End => text.ends_with(key.as_str()),
        Method::Sub => text.contains(key.as_str()),
        _ => word(key),
    });
    if method == Method::Beg {
        let longest = hits.clone().map(|(_, key)| key.len()).max()?;
        return hits.filter(|(_, key)| key.len() == longest).map(|(at, _)| at).next();
    }
    hits.map(|(at, _)| at).next()
}

proptest! {
    #[test]
    fn indexes_agree_with_a_walk(
        keys in proptest::collection::vec("[ab./]{1,4}", 1..12),
        text in "[ab./:?]{0,9}",
        gone in proptest::collection::vec(0_usize..12, 0..4),
    ) {
        let refs = PatternRefs::default();
        for method in [Method::Str, Method::Beg, Method::End, Method::Sub, Method::Dir, Method::Dom] {
            let list = refs.map(&format!("virt@{}", method.name()), method, Output::Str).unwrap();
            for (at, key) in keys.iter().enumerate() {
                list.reference().add(None, key.as_bytes(), Some(at.to_string().as_bytes())).unwrap();
            }
            // Numbers of entries begin at 1.
            for at in &gone {
                list.reference().del_by_id(*at as u64 + 1);
            }
            let mut left = keys.clone();
            gone.iter().filter(|at| **at < keys.len()).for_each(|at| left[*at] = "\u{1}".to_owned());
            let expected = walk(method, &left, &text).map_or("-".to_owned(), |at| at.to_string());
            prop_assert_eq!(look(&list, &text), expected, "{:?} {:?}", method, left);
        }
    }

    #[test]
    fn the_longest_network_wins(
        nets in proptest::collection::vec((any::<u32>(), 0_u8..=32), 1..20),
        addr in any::<u32>(),
        near in any::<proptest::sample::Index>(),
    ) {
        let refs = PatternRefs::default();
        let list = refs.map("virt@ip", Method::Ip, Output::Str).unwrap();
        for (bits, len) in &nets {
            let key = format!("{}/{len}", std::net::Ipv4Addr::from(*bits));
            list.reference().add(None, key.as_bytes(), Some(len.to_string().as_bytes())).unwrap();
        }
        for addr in [addr, near.get(&nets).0 ^ 1] {
            let holds = |(bits, len): &&(u32, u8)| {
                let mask = u32::MAX.checked_shl(32 - u32::from(*len)).unwrap_or(0);
                bits & mask == addr & mask
            };
            let expected = nets.iter().filter(holds).map(|(_, len)| *len).max();
            let found = list.text(SampleRef::Addr(IpAddr::V4(addr.into())));
            let found = found.map(|text| String::from_utf8(text).unwrap().parse().unwrap());
            prop_assert_eq!(found, expected);
        }
    }
}
