//! Tables on a clock of the test's own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Cell, Column, DataType, Key, KeyType, StickTable, StickTableConfig, Tracked};
use crate::{backend::testing::start, sample::SampleRef};

fn table(size: usize, expire: Option<u64>, nopurge: bool) -> Arc<StickTable> {
    let columns = [
        Column::new(DataType::Gpc, 3, 0),
        Column::new(DataType::HttpReqRate, 1, 10_000),
        Column::new(DataType::ConnCur, 1, 0),
        Column::new(DataType::ConnCnt, 1, 0),
    ];
    Arc::new(StickTable::new(StickTableConfig {
        name: "t".to_owned(),
        key_type: KeyType::Integer,
        size,
        expire: expire.map(Duration::from_secs),
        nopurge,
        columns: columns.to_vec(),
    }))
}

fn at(seconds: u64) -> Instant {
    start() + Duration::from_secs(seconds)
}

#[test]
fn rates_slide_over_two_periods() {
    let mut cell = Cell::default();
    for ms in [1000, 2000, 3000] {
        cell.add(10, 10_000, ms);
    }
    let read = |ms| cell.value(10_000, ms);
    assert_eq!([read(3000), read(9999)], [30, 30]);
    assert_eq!([read(10_000), read(15_000), read(19_999), read(20_000)], [30, 15, 0, 0]);
    assert_eq!(read(1_000_000), 0);
    let mut set = Cell::default();
    set.set(9, 10_000, 5000);
    assert_eq!([set.value(10_000, 5000), set.value(10_000, 10_000), set.value(10_000, 15_000)], [9, 4, 0]);
}

#[test]
fn entries_expire_unless_used_or_tracked() {
    let table = table(10, Some(30), false);
    let keys = [1, 2, 3].map(Key::Integer);
    keys.iter().for_each(|key| drop(table.get_or_insert(key, at(0))));
    let tracked = Tracked::start(&table, &keys[1], at(1)).unwrap();
    table.get_or_insert(&keys[2], at(20));
    let there = |now| keys.iter().filter(|key| table.find(key, now).is_some()).count();
    assert_eq!(there(at(29)), 3);
    assert_eq!(there(at(30)), 2, "the first has expired");
    assert_eq!(table.entries(at(31)).len(), 2);
    assert_eq!(table.value(&tracked.entry, DataType::ConnCur, 0, at(31)), Some(1));
    assert_eq!(there(at(50)), 1, "only what is tracked");
    drop(tracked);
    assert_eq!(there(at(60)), 0);
    assert_eq!(table.entries(at(60)).len(), 0);
    assert!(table.is_empty());
}

#[test]
fn a_full_table_gives_up_its_oldest_or_refuses() {
    let full = table(3, None, false);
    (1..=3).for_each(|n| drop(full.get_or_insert(&Key::Integer(n), at(n.into()))));
    full.get_or_insert(&Key::Integer(1), at(4));
    let held = Tracked::start(&full, &Key::Integer(2), at(2)).unwrap();
    assert!(full.get_or_insert(&Key::Integer(9), at(5)).is_some());
    let left: Vec<String> = full.entries(at(6)).iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(left, ["1", "2", "9"]);
    assert!(!full.remove(&held.entry), "it is tracked");
    full.clear();
    assert_eq!(full.len(), 1);
    drop(held);
    full.clear();
    assert!(full.is_empty());

    let strict = table(1, None, true);
    assert!(strict.get_or_insert(&Key::Integer(1), at(0)).is_some());
    assert!(strict.get_or_insert(&Key::Integer(2), at(0)).is_none());
    assert!(strict.get_or_insert(&Key::Integer(1), at(0)).is_some());
}

#[test]
fn a_table_never_holds_more_than_its_size() {
    let table = table(50, Some(5), false);
    for n in 0..2000_u32 {
        let now = start() + Duration::from_millis(u64::from(n) * 37);
        table.get_or_insert(&Key::Integer(n.wrapping_mul(2_654_435_761) % 300), now);
        assert!(table.len() <= 50);
    }
}

#[test]
fn arrays_answer_for_the_first_counters() {
    let table = table(1, None, false);
    let entry = table.get_or_insert(&Key::Integer(1), at(0)).unwrap();
    assert_eq!(table.add(&entry, DataType::Gpc1, 0, 2, at(0)), Some(2));
    assert_eq!(table.value(&entry, DataType::Gpc, 1, at(0)), Some(2));
    assert_eq!(table.value(&entry, DataType::Gpc, 3, at(0)), None);
    assert_eq!(table.value(&entry, DataType::Gpt0, 0, at(0)), None);
    assert_eq!(table.set(&entry, DataType::Gpc1, 0, 0, at(0)), Some(2));
}

#[test]
fn samples_become_keys_of_the_type() {
    let text = |text: &'static str| SampleRef::Str(text.as_bytes());
    let key = |kind: KeyType, value| kind.key(value).map(|key| key.to_string());
    assert_eq!(key(KeyType::Ipv4, text("10.0.0.1")).as_deref(), Some("10.0.0.1"));
    assert_eq!(key(KeyType::Ipv4, text("::ffff:10.0.0.1")).as_deref(), Some("10.0.0.1"));
    assert_eq!(key(KeyType::Ipv4, text("zz")), None);
    assert_eq!(key(KeyType::Ipv6, text("10.0.0.1")).as_deref(), Some("::ffff:10.0.0.1"));
    assert_eq!(key(KeyType::String(3), text("abcdef")).as_deref(), Some("abc"));
    assert_eq!(key(KeyType::String(3), text("")), None);
    assert_eq!(key(KeyType::Integer, SampleRef::Int(-1)).as_deref(), Some("4294967295"));
    assert_eq!(KeyType::Binary(4).key(text("ab")), Some(Key::Bytes((*b"ab\0\0").into())));
    assert_eq!(KeyType::Integer.parse(b"x"), None);
}
