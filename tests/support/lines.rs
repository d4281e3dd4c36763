//! Lines that some thread collects and a test waits for.

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A growing list of lines, shared between whoever writes them and whoever waits for one.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Lines {
    /// Adds one line and wakes those who wait.
    pub(crate) fn push(&self, line: String) {
        let (lines, grown) = &*self.0;
        lines.lock().unwrap().push(line);
        grown.notify_all();
    }

    /// Collects what `source` writes, line by line, until it ends.
    pub(crate) fn follow(&self, source: impl Read + Send + 'static) {
        let lines = self.clone();
        thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while source.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
        });
    }

    /// Collects datagrams as lines. The thread ends when a second passes after the test let go.
    pub(crate) fn follow_datagrams(&self, socket: UdpSocket) {
        let lines = Arc::downgrade(&self.0);
        socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout above zero");
        thread::spawn(move || {
            let mut datagram = [0; 65536];
            while lines.strong_count() > 0 {
                let Ok(n) = socket.recv(&mut datagram) else { continue };
                let Some(lines) = lines.upgrade() else { break };
                Self(lines).push(String::from_utf8_lossy(&datagram[..n]).trim_end().to_owned());
            }
        });
    }

    /// Waits until `enough` lines are there that `wanted` accepts; false if `patience` ends first.
    pub(crate) fn wait_for(&self, enough: usize, patience: Duration, wanted: impl Fn(&str) -> bool) -> bool {
        let (lines, grown) = &*self.0;
        let deadline = Instant::now() + patience;
        let mut seen = lines.lock().unwrap();
        loop {
            if seen.iter().filter(|line| wanted(line)).count() >= enough {
                return true;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            seen = grown.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// All lines so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }
}
