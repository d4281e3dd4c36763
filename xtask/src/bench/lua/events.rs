//! What a server's event costs by the scripts that hear of it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::super::meter;
use super::super::proxy::Peer;
use super::super::row::Setup;
use super::measure::{Stage, figure};
use super::row::setup;

/// Times that the server goes down and up, in lines of so many.
const LINES: u32 = 200;
const TIMES: u32 = 20;
/// Handlers are done long before that.
const PATIENCE: Duration = Duration::from_secs(20);

/// CPU microseconds that an event costs with so many subscribers, over one with none.
pub(super) fn added_us(stage: &Stage, peer: &Peer, subscribers: u32) -> Result<f64> {
    Ok(command_us(stage, peer, subscribers)? - command_us(stage, peer, 0)?)
}

/// CPU microseconds of a command that makes one event.
fn command_us(stage: &Stage, peer: &Peer, subscribers: u32) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let cli = folder.path().join("cli");
    let mut setup = Setup { silent: true, ..setup("lua_events.cfg") };
    setup.env =
        vec![("BENCH_CLI", cli.display().to_string()), ("BENCH_SUBSCRIBERS", subscribers.to_string())];
    let proxy = peer.start(&setup, &stage.backstage, &[])?;
    let flap = "set server be/origin state maint;set server be/origin state ready;".repeat(TIMES as usize);
    let flapped = |lines: u32| (0..lines).try_for_each(|_| ask(&cli, &flap).map(drop));
    let events = |lines: u32| u64::from(lines * TIMES * 2);

    flapped(1)?;
    let warm = events(1) * u64::from(subscribers);
    wait_for(&cli, warm)?;
    let before = meter::cpu_ns(proxy.pid())?;
    flapped(LINES)?;
    wait_for(&cli, warm + events(LINES) * u64::from(subscribers))?;
    Ok((meter::cpu_ns(proxy.pid())? - before) as f64 / events(LINES) as f64 / 1e3)
}

/// Waits until the handlers ran that often: a proxy that leaves some out is not fast.
fn wait_for(cli: &Path, expected: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let heard = ask(cli, "bench events")?.iter().find_map(|line| figure(line)).context("no count")?;
        if heard as u64 == expected {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{heard} of {expected} events were heard");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The answer to one line of commands.
fn ask(cli: &Path, line: &str) -> Result<Vec<String>> {
    let mut stream = UnixStream::connect(cli)?;
    writeln!(stream, "{line}")?;
    Ok(BufReader::new(stream).lines().collect::<Result<_, _>>()?)
}
