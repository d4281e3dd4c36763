//! What a frame costs agents of three makes, with Debian's haproxy asking.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::super::aide::on_cores;
use super::super::proxy::Proxy;
use super::super::row::Setup;
use super::{Line, Stage, ratio};
use crate::command::{cargo, shown, succeeds};
use crate::workspace::Workspace;

/// An agent at work. Killed when dropped.
struct Agent {
    name: &'static str,
    child: Child,
    addr: SocketAddr,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Ours, and those it is held against with what we want of the ratio.
const OURS: &str = "our agent";
const SPOP: (&str, &str) = ("crate spop", "at most 0.90");
const PYTHON: (&str, &str) = ("PyPI haproxyspoa", "at most 0.10");
/// Keep-alive connections of the load.
const CONNECTIONS: usize = 32;

/// How they are asked, and whether those who cannot pipeline take part.
struct Way {
    row: &'static str,
    config: &'static str,
    pipelines: bool,
}

const WAYS: [Way; 2] = [
    // `maxconnrate 1` keeps connections few, so that frames come several at once.
    Way { row: "agent's CPU a frame, pipelined, us", config: "spoe_agent.conf", pipelines: true },
    Way { row: "agent's CPU a frame, many connections, us", config: "spoe_added.conf", pipelines: false },
];

/// All rows.
pub(super) fn agents(stage: &Stage<'_>) -> Result<Vec<Line>> {
    let agents = start_all(stage)?;
    let mut lines = Vec::new();
    for way in WAYS {
        eprintln!("{}", way.row);
        let able = agents.iter().filter(|agent| !way.pipelines || agent.name != PYTHON.0);
        lines.extend(contest(stage, &way, &able.collect::<Vec<_>>())?);
    }
    Ok(lines)
}

/// The agents side by side, ours first; each has a haproxy of its own.
fn contest(stage: &Stage<'_>, way: &Way, agents: &[&Agent]) -> Result<Vec<Line>> {
    let haproxy = stage.peers.last().context("no haproxy")?;
    let load = |agent: &Agent, proxy: &Proxy, millis| {
        let cost = stage.load(proxy, agent.child.id(), CONNECTIONS, millis);
        cost.with_context(|| format!("driving {}", agent.name))
    };
    let mut proxies = Vec::new();
    for agent in agents {
        let env = vec![("BENCH_SPOA", agent.addr.to_string()), ("BENCH_SPOE", way.config.to_owned())];
        let setup =
            Setup { config: "spoe_agent.cfg", proof: Some("x-score: 42\r\n"), env, ..Setup::default() };
        let proxy = haproxy.start(&setup, &stage.backstage, &[]).with_context(|| agent.name.to_owned())?;
        load(agent, &proxy, WARM_UP_MS)?;
        proxies.push(proxy);
    }
    let mut costs = vec![Vec::new(); agents.len()];
    for round in 0..stage.options.rounds {
        for turn in 0..agents.len() {
            let which = (round + turn) % agents.len();
            costs[which].push(load(agents[which], &proxies[which], stage.options.millis)?);
        }
    }
    proxies.iter_mut().try_for_each(Proxy::stop)?;
    let line = |contestant, micros: &[f64]| Line {
        row: way.row.to_owned(),
        contestant,
        micros: micros.to_vec(),
        against: None,
        goal: "",
    };
    let mut lines = Vec::new();
    // Ours stands once for each it is held against.
    for (agent, theirs) in agents.iter().zip(&costs).skip(1) {
        let (_, goal) = if agent.name == SPOP.0 { SPOP } else { PYTHON };
        lines.push(Line { against: ratio(agent.name, &costs[0], theirs), goal, ..line(OURS, &costs[0]) });
        lines.push(line(agent.name, theirs));
    }
    Ok(lines)
}

fn start_all(stage: &Stage<'_>) -> Result<Vec<Agent>> {
    let release = built(stage.workspace)?;
    let core = stage.backstage.core.to_string();
    let mut agents = vec![
        start(OURS, on_cores(&core, release.join("agent-ours")))?,
        start(SPOP.0, on_cores(&core, release.join("agent-spop")))?,
    ];
    let python = stage.workspace.target().join("peers/haproxyspoa/bin/python3");
    if python.is_file() {
        let mut command = on_cores(&core, python);
        command.arg(stage.workspace.root.join("tests/peers/haproxyspoa_agent.py"));
        agents.push(start(PYTHON.0, command)?);
    } else {
        eprintln!("no Python package haproxyspoa (cargo xtask test installs it): left out");
    }
    Ok(agents)
}

fn built(workspace: &Workspace) -> Result<PathBuf> {
    let mut build = cargo(workspace, &["build", "--release", "--package", "integration", "--bins"]);
    ensure!(succeeds(&mut build)?, "failed: {}", shown(&build));
    Ok(workspace.target().join("release"))
}

fn start(name: &'static str, mut command: Command) -> Result<Agent> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let stdout = child.stdout.take().expect("invariant: stdout was piped");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let addr = line.trim().parse().with_context(|| format!("{name} printed {line:?} for its address"))?;
    Ok(Agent { name, child, addr })
}

/// Long enough for the connections that haproxy opens at one a second.
const WARM_UP_MS: u64 = 2500;
