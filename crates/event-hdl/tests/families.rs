//! Families by number: names, bounds, mixing.

mod support;

use event_hdl::{Error, EventType, Families, Names, Subtypes};
use support::{Door, LOCK, OPEN, SHUT};

const ROOF: Names = Names { family: "ROOF", subtypes: &[("ROOF_LEAK", Subtypes::bit(1))] };

fn families() -> Families {
    Families::new([Names::of::<Door>(), ROOF]).unwrap()
}

/// A name that lives as long as the test.
fn leak(name: String) -> &'static str {
    Box::leak(name.into_boxed_str())
}

#[test]
fn what_is_printed_is_read_back() {
    let families = families();
    for (text, family, subtypes) in [
        ("DOOR_OPEN", 1, OPEN),
        ("DOOR_OPEN|DOOR_LOCK", 1, OPEN | LOCK),
        ("DOOR", 1, Subtypes::ALL),
        ("ROOF", 2, Subtypes::ALL),
        ("ROOF_LEAK", 2, Subtypes::bit(1)),
    ] {
        let event = EventType { family, subtypes };
        assert_eq!(families.parse(text), Ok(event), "{text}");
        assert_eq!(families.show(event).to_string(), text);
    }
    assert_eq!(families.parse(" DOOR_SHUT | DOOR_OPEN "), families.resolve(["DOOR_OPEN", "DOOR_SHUT"]));
    assert_eq!(families.show(EventType { family: 9, subtypes: OPEN }).to_string(), "9:0x1");
    assert_eq!(families.names(2), Some(&ROOF));
    assert_eq!((families.names(0), families.names(3)), (None, None));
}

#[test]
fn two_families_never_mix() {
    let families = families();
    let mixed = families.parse("DOOR_OPEN|ROOF_LEAK");
    assert_eq!(mixed, Err(Error::MixedFamilies { name: "ROOF_LEAK".into(), family: "DOOR" }));
    for unknown in ["", "NONE", "door_open", "DOOR_OPEN|", "DOOR_OPEN DOOR_SHUT"] {
        assert!(matches!(families.parse(unknown), Err(Error::UnknownName(_))), "{unknown}");
    }
    let [open, shut, leak] =
        ["DOOR_OPEN", "DOOR_SHUT", "ROOF_LEAK"].map(|name| families.parse(name).unwrap());
    let both = open.union(shut).unwrap();
    assert_eq!(both.subtypes, OPEN | SHUT);
    assert_eq!(both.difference(open), Ok(shut));
    assert!(both.contains(shut) && !shut.contains(both) && !both.contains(leak));
    assert_eq!((open.union(leak), open.difference(leak)), (Err(Error::OtherFamily), Err(Error::OtherFamily)));
}

#[test]
fn there_are_255_families_of_16_subtypes_and_no_more() {
    let subtypes = |family: usize| -> &'static [(&'static str, Subtypes)] {
        let name = |bit| (leak(format!("F{family}_S{bit}")), Subtypes::bit(bit));
        Box::leak((1..=16).map(name).collect::<Vec<_>>().into_boxed_slice())
    };
    let mut all: Vec<Names> =
        (1..=255).map(|n| Names { family: leak(format!("F{n}")), subtypes: subtypes(n) }).collect();
    let families = Families::new(all.clone()).unwrap();
    for n in [1, 128, 255] {
        for bit in 1..=16 {
            let event = families.parse(&format!("F{n}_S{bit}")).unwrap();
            assert_eq!((usize::from(event.family), event.subtypes), (n, Subtypes::bit(bit)));
        }
    }
    all.push(Names { family: "ONE_TOO_MANY", subtypes: &[] });
    let error = Families::new(all).unwrap_err();
    assert_eq!(error.to_string(), "the 'ONE_TOO_MANY' family cannot be declared: there are 255 before it");
}

#[test]
fn families_that_could_not_be_told_apart_are_refused() {
    const CASES: &[&[(&str, Subtypes)]] = &[
        &[("A", Subtypes::bit(1)), ("B", Subtypes::bit(1))],
        &[("A", Subtypes::ALL)],
        &[("A", Subtypes::NONE)],
        &[("A", Subtypes::bit(1)), ("A", Subtypes::bit(2))],
        &[("ROOF_LEAK", Subtypes::bit(1))],
        &[("ROOF", Subtypes::bit(1))],
        &[("BAD", Subtypes::bit(1))],
        &[("", Subtypes::bit(1))],
        &[("A|B", Subtypes::bit(1))],
        &[("A B", Subtypes::bit(1))],
    ];
    for subtypes in CASES {
        let bad = Names { family: "BAD", subtypes };
        let refused = Families::new([ROOF, bad]).unwrap_err();
        assert!(matches!(refused, Error::InvalidFamily { family: "BAD", .. }), "{subtypes:?}");
    }
}
