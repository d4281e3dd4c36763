//! Who is chosen, per algorithm.

use std::sync::Arc;

use super::*;
use crate::{
    backend::{
        server::{AdminRequest, WeightChange},
        testing::{Recorder, backend, server, start},
    },
    config::ServerConfig,
};

fn weighted(weights: &[u32]) -> Vec<ServerConfig> {
    ('a'..)
        .zip(weights)
        .map(|(name, weight)| ServerConfig { weight: *weight, ..server(&name.to_string()) })
        .collect()
}

/// Makes `count` choices, each ended at once, and spells the names.
fn spell(proxy: &Proxy, count: usize) -> String {
    (0..count).map(|_| letter(proxy, hold(proxy, Choice::default(), true))).collect()
}

fn hold(proxy: &Proxy, choice: Choice, end: bool) -> Pick {
    let pick = proxy.state.balancer.pick(proxy, choice, None);
    if let (Pick::Taken(index), true) = (pick, end) {
        proxy.servers[index].release();
    }
    pick
}

fn letter(proxy: &Proxy, pick: Pick) -> String {
    match pick {
        Pick::Taken(index) => proxy.servers[index].name().to_owned(),
        Pick::Full(_) => "!".to_owned(),
        Pick::AllFull => "*".to_owned(),
        Pick::None => "-".to_owned(),
    }
}

#[test]
fn round_robin_begins_with_the_first_and_is_smooth() {
    for (weights, expected) in [
        (&[1][..], "aaaa"),
        (&[1, 1, 1], "abcabcabc"),
        (&[2, 1], "aabaab"),
        (&[3, 1], "aaabaaab"),
        (&[2, 1, 1], "abacabac"),
        (&[3, 1, 2], "acabacacabac"),
        (&[1, 0, 1], "acacac"),
        (&[0, 0], "---"),
        (&[256, 128], "aabaab"),
    ] {
        let proxy = backend(Balance::RoundRobin, weighted(weights));
        assert_eq!(spell(&proxy, expected.len()), expected, "{weights:?}");
    }
}

#[test]
fn round_robin_follows_weights_over_a_long_run() {
    let proxy = backend(Balance::RoundRobin, weighted(&[7, 20, 3, 70]));
    let spelled = spell(&proxy, 10_000);
    let counts: Vec<usize> = "abcd".chars().map(|c| spelled.matches(c).count()).collect();
    assert_eq!(counts, [700, 2000, 300, 7000]);
}

#[test]
fn weights_set_while_running_count_for_dynamic_algorithms_only() {
    for (balance, expected) in [(Balance::RoundRobin, "aabaab"), (Balance::StaticRr, "ababab")] {
        let proxy = Arc::new(backend(balance, weighted(&[1, 1])));
        let told = Recorder::default();
        spell(&proxy, 2);
        let cx = told.context(&proxy, start());
        proxy.servers[0].set_weight(WeightChange::Absolute(2), &cx);
        let mut spelled: Vec<char> = spell(&proxy, 6).chars().collect();
        let mut expected: Vec<char> = expected.chars().collect();
        spelled.sort_unstable();
        expected.sort_unstable();
        assert_eq!(spelled, expected);
    }
}

#[test]
fn a_server_that_comes_back_gets_its_share_and_no_flood() {
    let proxy = Arc::new(backend(Balance::RoundRobin, weighted(&[1, 1])));
    let told = Recorder::default();
    let cx = told.context(&proxy, start());
    proxy.servers[0].set_admin(AdminRequest::Maint, Default::default(), &cx);
    assert_eq!(spell(&proxy, 100), "b".repeat(100));
    proxy.servers[0].set_admin(AdminRequest::Ready, Default::default(), &cx);
    let spelled = spell(&proxy, 6);
    assert!(["ababab", "bababa"].contains(&&*spelled), "{spelled}");
}

#[test]
fn full_servers_are_passed_over() {
    let mut servers = weighted(&[1, 1, 1]);
    servers[1].maxconn = 1;
    let proxy = backend(Balance::RoundRobin, servers);
    let spelled: String = (0..6).map(|_| letter(&proxy, hold(&proxy, Choice::default(), false))).collect();
    assert_eq!(spelled, "abcaca");
}

#[test]
fn all_full_is_said_so() {
    let mut servers = weighted(&[1, 1]);
    servers.iter_mut().for_each(|s| s.maxconn = 1);
    for balance in [Balance::RoundRobin, Balance::LeastConn, Balance::First, Balance::Random { draws: 2 }] {
        let proxy = backend(balance, servers.clone());
        let picks: Vec<Pick> = (0..3).map(|_| hold(&proxy, Choice::default(), false)).collect();
        assert_eq!(picks.iter().filter(|p| matches!(p, Pick::Taken(_))).count(), 2);
        assert_eq!(picks[2], Pick::AllFull);
    }
}

#[test]
fn least_connections_wins_by_weight_and_equals_take_turns() {
    let proxy = backend(Balance::LeastConn, weighted(&[1, 1, 2]));
    let held: String = (0..8).map(|_| letter(&proxy, hold(&proxy, Choice::default(), false))).collect();
    assert_eq!(held.matches('c').count(), 4, "{held}");
    let idle = backend(Balance::LeastConn, weighted(&[1, 1, 1]));
    assert_eq!(spell(&idle, 6), "abcabc");
}

#[test]
fn first_fills_the_lowest_id() {
    let mut servers = weighted(&[1, 1]);
    servers[0].maxconn = 2;
    let proxy = backend(Balance::First, servers);
    let held: String = (0..4).map(|_| letter(&proxy, hold(&proxy, Choice::default(), false))).collect();
    assert_eq!(held, "aabb");
}

#[test]
fn random_follows_weights() {
    let proxy = backend(Balance::Random { draws: 1 }, weighted(&[1, 3]));
    let count = (0..4000_u64)
        .filter(|n| hold(&proxy, Choice { hash: None, random: *n }, true) == Pick::Taken(1))
        .count();
    assert!((2900..3100).contains(&count), "{count}");
}

#[test]
fn two_draws_avoid_the_loaded_server() {
    let proxy = backend(Balance::Random { draws: 2 }, weighted(&[1, 1]));
    (0..1000_u64).for_each(|n| {
        hold(&proxy, Choice { hash: None, random: n }, false);
    });
    let (a, b) = (proxy.servers[0].served(), proxy.servers[1].served());
    assert!(a.abs_diff(b) < 20, "{a} against {b}");
}

#[test]
fn hashes_keep_to_their_server_and_wait_for_it() {
    let mut servers = weighted(&[1, 1]);
    servers[1].maxconn = 1;
    let proxy = backend(Balance::Source, servers);
    let choose = |hash| hold(&proxy, Choice { hash: Some(hash), random: 0 }, false);
    assert_eq!(choose(0), Pick::Taken(0));
    assert_eq!(choose(2), Pick::Taken(0));
    assert_eq!(choose(1), Pick::Taken(1));
    assert_eq!(choose(3), Pick::Full(1));
}

#[test]
fn hashes_spread_by_weight() {
    let proxy = backend(Balance::Source, weighted(&[1, 3]));
    let spelled: String = (0..8)
        .map(|hash| letter(&proxy, hold(&proxy, Choice { hash: Some(hash), random: 0 }, true)))
        .collect();
    assert_eq!(spelled.matches('b').count(), 6, "{spelled}");
}

/// The expected letters are what HAProxy 2.6 answered for the same requests and weights.
#[test]
fn hashes_choose_the_servers_haproxy_chooses() {
    let choose = |balance: Balance, weights: &[u32], hashes: &[u32]| -> String {
        let proxy = backend(balance, weighted(weights));
        let pick = |hash| letter(&proxy, hold(&proxy, Choice { hash: Some(hash), random: 0 }, true));
        hashes.iter().map(|hash| pick(*hash)).collect()
    };
    let clients: Vec<u32> = (1..=12).map(|n| key::address([127, 0, 0, n].into())).collect();
    assert_eq!(choose(Balance::Source, &[1, 1, 1], &clients), "cabcabcabcab");
    assert_eq!(choose(Balance::Source, &[3, 1, 2], &clients), "caacabcaacab");
    let uris = [
        "/",
        "/a",
        "/b?x=1",
        "/img/logo.png",
        "/api/v1/users?id=7&x=2",
        "/index.html",
        "/%7Efoo",
        "/long/path/with/many/parts",
    ];
    for (weights, whole, expected) in
        [([1, 1, 1], false, "cabacacc"), ([3, 1, 2], false, "caaacacc"), ([1, 1, 1], true, "cacacacc")]
    {
        let hash = |uri: &&str| key::sdbm(key::uri_part(uri.as_bytes(), whole, 0, 0));
        let hashes: Vec<u32> = uris.iter().map(hash).collect();
        assert_eq!(choose(Balance::Uri { whole, len: 0, depth: 0 }, &weights, &hashes), expected);
    }
    let values = ["a", "bb", "ccc", "hello", "1", "22", "333", "long value"];
    let hashes: Vec<u32> = values.iter().map(|v| key::sdbm(v.as_bytes())).collect();
    assert_eq!(choose(Balance::Hdr("x-k".into()), &[1, 1, 1], &hashes), "bbacbbac");
}

#[test]
fn backups_serve_only_without_active_servers() {
    for (all, expected) in [(false, "bbbb"), (true, "bcbc")] {
        let mut servers = weighted(&[1, 1, 1]);
        servers[1].backup = true;
        servers[2].backup = true;
        let mut proxy = backend(Balance::RoundRobin, servers);
        proxy.options.allbackups = all;
        let proxy = Arc::new(proxy);
        assert_eq!(spell(&proxy, 2), "aa");
        let told = Recorder::default();
        proxy.servers[0].set_admin(AdminRequest::Maint, Default::default(), &told.context(&proxy, start()));
        assert_eq!(spell(&proxy, 4), expected);
    }
}

#[test]
fn the_server_to_avoid_is_taken_only_alone() {
    for balance in [Balance::RoundRobin, Balance::LeastConn, Balance::First, Balance::Source] {
        let proxy = backend(balance.clone(), weighted(&[1, 1]));
        let avoid = proxy.servers[0].clone();
        let choice = Choice { hash: Some(0), random: 0 };
        for _ in 0..4 {
            assert_eq!(proxy.state.balancer.pick(&proxy, choice, Some(&avoid)), Pick::Taken(1));
        }
        let alone = backend(balance, weighted(&[1]));
        let avoid = alone.servers[0].clone();
        assert_eq!(alone.state.balancer.pick(&alone, choice, Some(&avoid)), Pick::Taken(0));
    }
}

#[test]
fn keys_are_the_documented_parts() {
    let uri = b"/a/b/c?x=1&id=7&id2=";
    for (whole, len, depth, expected) in [
        (false, 0, 0, &b"/a/b/c"[..]),
        (true, 0, 0, b"/a/b/c?x=1&id=7&id2="),
        (false, 3, 0, b"/a/"),
        (false, 0, 1, b"/a"),
        (false, 0, 2, b"/a/b"),
        (false, 2, 2, b"/a"),
    ] {
        assert_eq!(key::uri_part(uri, whole, len, depth), expected);
    }
    let query = b"x=1&id=7&id2=";
    assert_eq!(key::url_param(query, "id"), Some(&b"7"[..]));
    assert_eq!(key::url_param(query, "x"), Some(&b"1"[..]));
    assert_eq!(key::url_param(query, "id2"), None);
    assert_eq!(key::url_param(query, "d"), None);
}

#[test]
fn sdbm_is_the_published_function() {
    let reference =
        |text: &[u8]| text.iter().fold(0_u32, |h, c| h.wrapping_mul(65599).wrapping_add(u32::from(*c)));
    for text in [&b""[..], b"a", b"/index.html", b"\xff\x00\x80"] {
        assert_eq!(key::sdbm(text), reference(text));
    }
}
