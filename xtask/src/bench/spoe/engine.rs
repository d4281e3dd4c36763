//! What one NOTIFY adds to a request: with less without, in the same round.

use anyhow::Result;

use super::super::callgrind;
use super::super::proxy::{Peer, Proxy};
use super::super::row::Setup;
use super::super::sample::median;
use super::{Line, Stage, ratio};

/// A peer with the filter, and without.
struct Pair {
    with: Proxy,
    without: Proxy,
}

/// Connections of the load, and what we want of the ratio.
const LOADS: [(usize, &str); 2] = [(32, "at most 0.90, and 1.5 us"), (1, "at most 1.00")];

/// All rows.
pub(super) fn engine(stage: &Stage<'_>) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (connections, goal) in LOADS {
        eprintln!("engine, {connections} connections");
        lines.extend(added(stage, connections, goal)?);
    }
    if stage.options.callgrind {
        eprintln!("engine, user instructions");
        lines.extend(instructions(stage)?);
    }
    Ok(lines)
}

fn with() -> Setup {
    Setup { config: "spoe_added.cfg", proof: Some("x-score: 42\r\n"), ..Setup::default() }
}

fn without() -> Setup {
    Setup { config: "spoe_bare.cfg", proof: Some("GET /echo HTTP/1.1\r\n"), ..Setup::default() }
}

fn added(stage: &Stage<'_>, connections: usize, goal: &'static str) -> Result<Vec<Line>> {
    let start = |peer: &Peer, setup: &Setup| {
        let proxy = peer.start(setup, &stage.backstage, &[])?;
        stage.load(&proxy, proxy.pid(), connections, WARM_UP_MS)?;
        Ok::<_, anyhow::Error>(proxy)
    };
    let (on, off) = (with(), without());
    let pairs: Vec<Pair> = stage
        .peers
        .iter()
        .map(|peer| Ok(Pair { with: start(peer, &on)?, without: start(peer, &off)? }))
        .collect::<Result<_>>()?;
    let mut costs = vec![Vec::new(); pairs.len()];
    for round in 0..stage.options.rounds {
        for turn in 0..pairs.len() {
            let which = (round + turn) % pairs.len();
            let Pair { with, without } = &pairs[which];
            let cost = |proxy: &Proxy| stage.load(proxy, proxy.pid(), connections, stage.options.millis);
            // What drifts within a round must not always fall on the same side.
            let (with, without) = if round % 2 == 0 {
                let without = cost(without)?;
                (cost(with)?, without)
            } else {
                (cost(with)?, cost(without)?)
            };
            costs[which].push(with - without);
        }
    }
    for pair in pairs {
        for mut proxy in [pair.with, pair.without] {
            proxy.stop()?;
        }
    }
    let row = format!(
        "CPU that a NOTIFY adds, {connections} connection{}, us",
        if connections == 1 { "" } else { "s" }
    );
    Ok(lines(stage, &row, costs, goal))
}

/// The same in user instructions, which do not drift: the slope between two runs of each.
fn instructions(stage: &Stage<'_>) -> Result<Vec<Line>> {
    let count = |peer| {
        let with = callgrind::instructions(peer, &with(), &stage.backstage)?;
        let without = callgrind::instructions(peer, &without(), &stage.backstage)?;
        Ok(vec![(with - without) / 1e3])
    };
    let counts = stage.peers.iter().map(count).collect::<Result<Vec<_>>>()?;
    Ok(lines(stage, "user instructions that a NOTIFY adds, thousands", counts, ""))
}

fn lines(stage: &Stage<'_>, row: &str, costs: Vec<Vec<f64>>, goal: &'static str) -> Vec<Line> {
    let reference = costs.last().cloned().unwrap_or_default();
    let name = stage.peers.last().map_or("", |peer| peer.name);
    let last = costs.len() - 1;
    let line = |(at, micros): (usize, Vec<f64>)| {
        let ours = at != last;
        // A difference that noise made negative has no ratio of its own; the medians have one.
        let positive = micros.iter().chain(&reference).all(|cost| *cost > 0.0);
        let against = match (ours, positive) {
            (false, _) => None,
            (true, true) => ratio(name, &micros, &reference),
            (true, false) => {
                let ratio = median(micros.iter().copied()) / median(reference.iter().copied());
                Some(super::Ratio { to: name, ratio })
            }
        };
        let goal = if ours { goal } else { "" };
        Line { row: row.to_owned(), contestant: stage.peers[at].name, micros, against, goal }
    };
    costs.into_iter().enumerate().map(line).collect()
}

/// Connections are made and caches filled before anything counts.
const WARM_UP_MS: u64 = 200;
