//! The whole proxy in one thread, on virtual time and a network in memory: a seed decides everything.
//!
//! ```text
//!   world ──steps──► sut: the shipped wiring, one scheduler a worker        (host: time, network, trace)
//!     │  └─steps──► clients, servers, agent: one scheduler for all of them
//!     └──looks────► transition, reference ──► invariants: what does not hold, in words
//! ```
//!
//! `cargo xtask sim --seed N` lives the world of a seed and prints its trace. A seed that failed becomes
//! a named test here.

mod agent;
mod client;
mod host;
mod invariants;
mod message;
mod network;
mod origin;
mod random;
mod reference;
mod rogue;
mod sut;
mod time;
mod trace;
mod transition;
mod world;

use std::collections::BTreeSet;

use reference::Fate;
use world::World;

/// Lives a world; its trace, or with what is broken.
fn live(seed: u64) -> Result<Vec<String>, String> {
    let world = World::live(seed);
    let lines = world.trace.lines();
    let broken = invariants::broken(&world);
    if broken.is_empty() {
        return Ok(lines);
    }
    let tail = lines.len().saturating_sub(TAIL_LINES);
    Err(format!("seed {seed}: {}\nthe trace ends:\n{}", broken.join("\n  "), lines[tail..].join("\n")))
}

fn check(seed: u64) {
    if let Err(why) = live(seed) {
        panic!("{why}");
    }
}

#[test]
fn every_request_gets_one_answer_and_every_change_is_told_once() {
    for seed in 1..=8 {
        check(seed);
    }
}

#[test]
fn derived_seeds_hold_too() {
    let mut random = random::Random::new(0x71de_6a7e, "derived");
    for _ in 0..4 {
        check(random.next() >> 32);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [2, 5] {
        let (first, second) = (live(seed), live(seed));
        assert_eq!(first, second, "seed {seed}");
    }
}

/// Stalls, repeats, pieces, lengths that lie, ends after any byte: each request has its answer or a documented
/// error by its deadline, no variable is set but by a legal ACK, and at the end nothing is in use.
#[test]
fn an_agent_whose_words_are_falsified_costs_its_own_exchanges_only() {
    let mut failed = BTreeSet::new();
    for seed in 100..108 {
        let world = World::live_with(seed, |plan| {
            plan.calm = false;
            plan.agent_rogue = 800;
        });
        assert_eq!(invariants::broken(&world), Vec::<String>::new(), "seed {seed}");
        world.ledger.with(|book| failed.extend(book.offloads.values().map(|offload| offload.failed.clone())));
    }
    // Timeout, lost connection, too big, invalid: the faults were there.
    for code in ["", "1", "257", "259", "260"] {
        assert!(failed.contains(code), "no exchange ended with {code:?}: {failed:?}");
    }
}

/// What a world is judged by must be able to condemn it.
#[test]
fn a_world_that_is_tampered_with_does_not_hold() {
    let check = |name: &str, tamper: &dyn Fn(&mut World)| {
        let mut world = World::live(1);
        assert_eq!(invariants::broken(&world), Vec::<String>::new(), "before {name}");
        tamper(&mut world);
        assert_ne!(invariants::broken(&world), Vec::<String>::new(), "after {name}");
    };
    let first = |world: &World| world.ledger.with(|book| *book.fates.keys().next().expect("a request"));
    check("an answer that never came", &|world| {
        let id = first(world);
        world.ledger.with(|book| drop(book.fates.remove(&id)));
    });
    check("a second answer", &|world| {
        let id = first(world);
        world.ledger.with(|book| book.fates.entry(id).or_default().push(Fate::Aborted));
    });
    check("another request's answer", &|world| {
        let id = first(world);
        let mark = reference::mark(id + 1, "", "", 0);
        world.ledger.with(|book| book.fates.insert(id, vec![Fate::Answer { status: 200, mark }]));
    });
    check("events out of order", &|world| world.watch.published.reverse());
    check("an event twice", &|world| world.watch.published.extend_from_within(..1));
    check("a variable that nobody set legally", &|world| {
        world.ledger.with(|book| {
            let offload = book.offloads.values_mut().next().expect("an offload");
            offload.echo.push('0');
        });
    });
    check("an exchange past its deadline", &|world| {
        world.ledger.with(|book| {
            let offload = book.offloads.values_mut().next().expect("an offload");
            offload.millis = "400".to_owned();
        });
    });
    check("a slot that is never given back", &|world| world.in_use.push(("slots".to_owned(), 1)));
}

#[test]
fn health_counts_failures_and_successes_in_a_row() {
    let mut health = reference::Health::new(2, 3);
    let changes: Vec<_> = [false, true, false, true, true, false, false, true, false, false, false]
        .map(|passed| health.check(passed))
        .to_vec();
    let (down, up) = (Some(false), Some(true));
    assert_eq!(changes, [down, None, None, None, up, None, None, None, None, None, down]);
}

/// Driven by `cargo xtask sim`: lives the worlds it asks for and prints what happens.
#[test]
#[ignore = "run by cargo xtask sim"]
fn given_seeds() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed: u64 = number("TIDEGATE_SIM_SEED").unwrap_or(1);
    let rounds: u64 = number("TIDEGATE_SIM_ROUNDS").unwrap_or(1);
    let mut failed = Vec::new();
    for seed in seed..seed + rounds {
        let world = World::live(seed);
        if rounds == 1 {
            world.trace.lines().iter().for_each(|line| println!("{line}"));
        }
        let broken = invariants::broken(&world);
        println!("seed {seed}: {} steps, {} broken", world.trace.lines().len(), broken.len());
        if !broken.is_empty() {
            failed.push(seed);
            broken.iter().for_each(|why| println!("  {why}"));
        }
    }
    assert!(failed.is_empty(), "failed seeds: {failed:?}");
}

/// How much of a failed world's trace is shown.
const TAIL_LINES: usize = 30;
