//! A client: keeps its connection, pipelines, and at times leaves in the middle.

use std::{net::SocketAddr, time::Duration};

use tokio::io::AsyncWriteExt as _;

use super::{
    message::Incoming,
    network::{End, Network},
    random::Random,
    reference::{Asked, Fate, Ledger},
    time::Time,
    trace::Trace,
};

/// One client of the world.
pub(crate) struct Client {
    pub(crate) number: u32,
    pub(crate) to: SocketAddr,
    pub(crate) time: Time,
    pub(crate) network: Network,
    pub(crate) trace: Trace,
    pub(crate) ledger: Ledger,
    pub(crate) random: Random,
}

impl Client {
    /// Sends `requests` requests over as many connections as it takes.
    pub(crate) async fn run(mut self, requests: u32) {
        let mut next = self.number * 1000;
        let last = next + requests;
        while next < last {
            self.time.sleep(self.random.millis(0, 300)).await;
            let Ok(mut end) = self.network.clone().connect(self.to).await else { continue };
            let mut input = Incoming::default();
            while next < last {
                let count = u32::try_from(self.random.between(1, 4)).unwrap_or(1).min(last - next);
                let ids: Vec<u32> = (next..next + count).collect();
                next += count;
                if !self.exchange(&ids, &mut end, &mut input).await || self.random.chance(150) {
                    break;
                }
                self.time.sleep(self.random.millis(0, 400)).await;
            }
        }
        self.trace.say(self.name(), "is done");
    }

    /// Sends requests together and reads their answers; whether the connection can go on.
    async fn exchange(&mut self, ids: &[u32], end: &mut End, input: &mut Incoming) -> bool {
        let mut text = Vec::new();
        for id in ids {
            self.write(*id, end.link(), &mut text);
        }
        let aborts = self.random.chance(60);
        if aborts {
            let sent = self.random.size(1, text.len());
            let _ = end.write_all(&text[..sent]).await;
            self.time.sleep(self.random.millis(0, 120)).await;
            ids.iter().for_each(|id| self.note(*id, Fate::Aborted));
            return false;
        }
        let parts = if self.random.chance(300) { 4 } else { 1 };
        for part in text.chunks(text.len().div_ceil(parts)) {
            if end.write_all(part).await.is_err() {
                break; // The answers, if there are any, say what became of it.
            }
            self.time.sleep(self.random.millis(0, 5)).await;
        }
        let mut ids = ids.iter().copied();
        while let Some(id) = ids.next() {
            let limit = self.time.sleep(PATIENCE);
            let fate = match input.read(end, Some(limit)).await {
                Ok(Some(answer)) => {
                    let status = answer.status().unwrap_or(0);
                    self.note(id, Fate::Answer { status, mark: answer.mark() });
                    if answer.closes() {
                        ids.for_each(|id| self.note(id, Fate::Unserved));
                        return false;
                    }
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Fate::Silence,
                Ok(None) | Err(_) => Fate::Cut,
            };
            self.note(id, fate.clone());
            ids.for_each(|id| self.note(id, fate.clone()));
            return false;
        }
        if !input.is_empty() {
            self.trace.say(self.name(), "VIOLATION: bytes behind the last answer");
        }
        true
    }

    fn write(&mut self, id: u32, link: u32, text: &mut Vec<u8>) {
        let random = &mut self.random;
        let asked = Asked {
            link,
            deny: random.chance(100),
            nap: random.chance(250),
            body: if random.chance(250) { random.size(1, 20_000) } else { 0 },
        };
        let mut target = format!("/r?id={id}");
        if asked.deny {
            target.push_str("&deny=1");
        }
        if asked.nap {
            target.push_str(&format!("&nap={}", random.between(1, 60)));
        }
        let method = if asked.body > 0 { "POST" } else { "GET" };
        text.extend_from_slice(format!("{method} {target} HTTP/1.1\r\nhost: sim\r\n").as_bytes());
        if asked.body > 0 {
            text.extend_from_slice(format!("content-length: {}\r\n", asked.body).as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        text.resize(text.len() + asked.body, b'x');
        self.trace.say(self.name(), format_args!("asks {id} on link {link} {asked:?}"));
        self.ledger.with(|book| book.asked.insert(id, asked));
    }

    fn note(&self, id: u32, fate: Fate) {
        self.trace.say(self.name(), format_args!("{id}: {fate}"));
        self.ledger.with(|book| book.fates.entry(id).or_default().push(fate));
    }

    fn name(&self) -> String {
        format!("client {}", self.number)
    }
}

/// How long a client waits for an answer: longer than every timeout of the configuration together.
const PATIENCE: Duration = Duration::from_secs(60);
