//! One round of one contestant.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::super::aide::{Aide, Backstage, batch, on_cores};
use super::super::proxy::{Peer, Proxy};
use super::super::row::Setup;
use super::super::{finished, meter};
use super::events;
use super::row::{How, Row, asking, setup};

/// Tasks of the memory row.
const TASKS: u64 = 20_000;
/// Waiting requests of the memory row.
const PARKED: u64 = 4_000;

/// Where rounds are run.
pub(super) struct Stage {
    pub(super) backstage: Backstage,
    pub(super) millis: u64,
}

/// What a load did to a proxy.
struct Load {
    cpu_us: f64,
    rate: f64,
}

impl Stage {
    /// The figure of one round.
    pub(super) fn measure(&self, peer: &Peer, row: &Row) -> Result<f64> {
        match row.how {
            How::Script { script, forced_yield, scale, .. } => {
                let env = forced_yield.map(|n| ("BENCH_FORCED_YIELD", n.to_owned()));
                let mut proxy = self.scripted(peer, script, env.into_iter().collect())?;
                Ok(printed(&mut proxy)? * scale)
            }
            How::Request(config) => Ok(self.load(peer, &asking(config))?.cpu_us),
            How::Added { with, without } => {
                Ok(self.load(peer, &setup(with))?.cpu_us - self.load(peer, &setup(without))?.cpu_us)
            }
            How::Task => self.task(peer),
            How::Parked => self.parked(peer),
            How::Event { subscribers } => events::added_us(self, peer, subscribers),
            How::TwoThreadsCpu { one, two } => self.two_threads(peer, [one, two], |load| load.cpu_us),
            How::TwoThreadsRate { one, two } => self.two_threads(peer, [one, two], |load| load.rate),
        }
    }

    /// The same script in a plain interpreter; with a hook, one that runs as often as the proxies' and does nothing.
    pub(super) fn measure_plain(&self, interpreter: &Path, row: &Row, hook: Option<&str>) -> Result<f64> {
        let How::Script { script, scale, .. } = row.how else { return Ok(f64::NAN) };
        let mut command = on_cores(&self.backstage.core.to_string(), interpreter);
        let hook = hook.map_or(String::new(), |count| format!("debug.sethook(type, '', {count}) "));
        let both = format!("{hook}dofile('lua/report.lua') dofile('{script}')");
        let output = command.args(["-e", &both]).current_dir(&self.backstage.folder).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().find_map(figure).with_context(|| format!("the interpreter printed {text:?}"))?
            * scale)
    }

    fn scripted(&self, peer: &Peer, script: &str, mut env: Vec<(&'static str, String)>) -> Result<Proxy> {
        env.push(("BENCH_SCRIPT", script.to_owned()));
        let setup = Setup { config: "script.cfg", env, ..Setup::default() };
        peer.launch(&setup, &self.backstage, &[], Stdio::piped())
    }

    fn task(&self, peer: &Peer) -> Result<f64> {
        let grown = |count: u64| -> Result<f64> {
            let mut proxy = self.scripted(peer, "lua/tasks.lua", vec![("BENCH_TASKS", count.to_string())])?;
            printed(&mut proxy)?;
            Ok(meter::resident_bytes(proxy.pid())? as f64)
        };
        Ok((grown(TASKS)? - grown(100)?) / (TASKS - 100) as f64)
    }

    fn parked(&self, peer: &Peer) -> Result<f64> {
        let proxy = peer.start(&setup("lua_park.cfg"), &self.backstage, &[])?;
        self.loaded(&proxy, 200)?;
        let before = meter::resident_bytes(proxy.pid())?;
        let mut hold = batch(self.backstage.core, "bench-load")?;
        hold.args([
            "--addr",
            &proxy.addr.to_string(),
            "--idle",
            "--park",
            "--connections",
            &PARKED.to_string(),
        ]);
        let mut holding = Aide::start(hold)?;
        let held = holding.numbers()?[0] as f64;
        Ok(meter::resident_bytes(proxy.pid())?.saturating_sub(before) as f64 / held)
    }

    fn two_threads(&self, peer: &Peer, configs: [&'static str; 2], what: fn(&Load) -> f64) -> Result<f64> {
        let [one, two] = configs.map(|config| {
            let setup = Setup { every_core: true, ..setup(config) };
            self.load(peer, &setup).map(|load| what(&load))
        });
        Ok(two? / one?)
    }

    fn load(&self, peer: &Peer, setup: &Setup) -> Result<Load> {
        let proxy = peer.start(setup, &self.backstage, &[])?;
        self.loaded(&proxy, 150)?;
        self.loaded(&proxy, self.millis)
    }

    fn loaded(&self, proxy: &Proxy, millis: u64) -> Result<Load> {
        let mut load = batch(self.backstage.core, "bench-load")?;
        load.args(["--addr", &proxy.addr.to_string(), "--millis", &millis.to_string()]);
        let (before, began) = (meter::cpu_ns(proxy.pid())?, Instant::now());
        let done = finished(load)? as f64;
        ensure!(done > 0.0, "no request was answered");
        let cpu = (meter::cpu_ns(proxy.pid())? - before) as f64;
        Ok(Load { cpu_us: cpu / done / 1e3, rate: done / began.elapsed().as_secs_f64() })
    }
}

/// Waits for the line that the script prints.
fn printed(proxy: &mut Proxy) -> Result<f64> {
    let stdout = proxy.stdout().context("the proxy's output is not a pipe")?;
    let mut lines = BufReader::new(stdout).lines();
    let found = lines.find_map(|line| line.as_deref().ok().and_then(figure));
    found.context("the proxy ended without a figure")
}

/// The figure of a line that a script printed.
pub(super) fn figure(line: &str) -> Option<f64> {
    line.strip_prefix("bench ")?.trim().parse().ok()
}
