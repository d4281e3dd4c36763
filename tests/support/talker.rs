//! A server that speaks a protocol of lines by a table: what it says first, and what it answers to which line.
//!
//! ```text
//! # name      what it says
//! hello       "220 ready\r\n"
//! "^EHLO "    "250 fine\r\n"
//! ```
//! The first word is a regular expression; the first that matches a line, without its end, answers it. A line that none
//! matches is heard and not answered.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use regex::Regex;

use super::lines::Lines;
use super::service::Service;

/// The running server.
pub(crate) struct Talker {
    service: Service,
    heard: Lines,
}

/// What is said to what.
#[derive(Default)]
pub(crate) struct Phrases {
    pub(crate) hello: String,
    pub(crate) answers: Vec<(Regex, String)>,
}

impl Talker {
    /// Starts it.
    pub(crate) fn start(phrases: Phrases) -> io::Result<Self> {
        let heard = Lines::default();
        let (phrases, notes) = (Arc::new(phrases), heard.clone());
        let service = Service::start(move |stream| {
            // A client that leaves in the middle is none of its business.
            talk(&phrases, &notes, stream).ok();
        })?;
        Ok(Self { service, heard })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.service.addr()
    }

    /// Every line that was said to it.
    pub(crate) fn heard(&self) -> &Lines {
        &self.heard
    }
}

fn talk(phrases: &Phrases, heard: &Lines, mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(phrases.hello.as_bytes())?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if let Some((_, answer)) = phrases.answers.iter().find(|(wanted, _)| wanted.is_match(&line)) {
            stream.write_all(answer.as_bytes())?;
        }
        heard.push(line);
    }
    Ok(())
}
