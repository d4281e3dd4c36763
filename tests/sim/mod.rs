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
mod sut;
mod time;
mod trace;
mod transition;
mod world;

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
