//! An agent that scores the client's address by a list that can be changed while it runs.
//!
//! ```text
//! cargo run --example ip_reputation --features tokio-net -- 127.0.0.1:12345 [LIST]
//! ```
//!
//! The list has a network and a score from 0, known for abuse, to 100, beyond suspicion, on each line: `203.0.113.0/24 5`. The
//! longest match counts. It is read anew within a second of a change; a list with a mistake leaves the old one in force. The
//! crate's README shows the HAProxy configuration that goes with it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use spoe::Scope;
use spoe::agent::{Options, Reply, Request, listen};
use tokio::net::TcpListener;

spoe::message! {
    /// `args ip=src`
    struct GetIpReputation("get-ip-reputation") { ip: IpAddr }
}

/// Scores by network: its length, its first bits.
#[derive(Default)]
struct Scores(BTreeMap<(u32, u128), u32>);

impl Scores {
    fn parse(text: &str) -> Result<Self, String> {
        let mut scores = Self::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let entry = line.split_once(char::is_whitespace).and_then(|(network, score)| {
                let (address, length) = network.split_once('/').unwrap_or((network, "128"));
                let address: IpAddr = address.parse().ok()?;
                let length: u32 = length.parse().ok()?;
                // An IPv4 address is the last 32 bits of its mapped one.
                let length = if address.is_ipv4() && network.contains('/') { 96 + length } else { length };
                (length <= 128).then(|| ((length, prefix(address, length)), score.trim().parse().ok()))
            });
            match entry {
                Some((network, Some(score))) => scores.0.insert(network, score),
                _ => return Err(format!("line {}: expected NETWORK SCORE: {line}", at + 1)),
            };
        }
        Ok(scores)
    }

    fn of(&self, address: IpAddr) -> u32 {
        let found = (0..=128).rev().find_map(|length| self.0.get(&(length, prefix(address, length))));
        found.copied().unwrap_or(if address.is_loopback() { 100 } else { 50 })
    }
}

fn prefix(address: IpAddr, length: u32) -> u128 {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    u128::from(bits) & u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:12345".into());
    let scores = Arc::new(RwLock::new(Scores::default()));
    let handler = {
        let scores = Arc::clone(&scores);
        move |request: Request| {
            let score =
                request.read().map(|GetIpReputation { ip }| scores.read().expect("no panic under it").of(ip));
            std::future::ready(match score {
                Ok(score) => Reply::new().set(Scope::Session, "ip_score", score),
                Err(_) => Reply::new(),
            })
        }
    };
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    let serve = listen(listener, handler, Options::default(), std::future::pending());
    match arguments.next().map(PathBuf::from) {
        Some(list) => tokio::join!(serve, reload(&list, &scores)).0,
        None => serve.await,
    }
    Ok(())
}

/// Reads the list whenever it has changed.
#[expect(clippy::disallowed_methods, reason = "the example is a program: it may sleep")]
async fn reload(list: &Path, scores: &RwLock<Scores>) {
    let mut known = None;
    loop {
        let text = std::fs::read_to_string(list).ok();
        if text.is_some() && text != known {
            match Scores::parse(text.as_deref().unwrap_or_default()) {
                Ok(new) => {
                    println!("{} networks", new.0.len());
                    *scores.write().expect("no panic under it") = new;
                }
                Err(error) => eprintln!("{}: {error}: the list before stays", list.display()),
            }
            known = text;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
