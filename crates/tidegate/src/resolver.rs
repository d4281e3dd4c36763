//! Host names to addresses, by the system's own resolver.
//!
//! `getaddrinfo` blocks, so it runs on tokio's blocking threads, a few at a time for the whole process. Who waits for
//! its turn waits in a future: a name server that is down holds up those threads and nothing else, and a caller that
//! gives up leaves nothing behind but the question under way.

use std::{
    io,
    net::{IpAddr, ToSocketAddrs as _},
    sync::Arc,
};

use tokio::sync::Semaphore;

/// Questions at one time, in the whole process.
const AT_ONCE: usize = 4;
/// A name longer than this cannot be one (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;

static PLACES: std::sync::LazyLock<Arc<Semaphore>> =
    std::sync::LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

/// The addresses of a name, in the order the system gives; at least one.
///
/// # Errors
/// What the system says; `NotFound` for a name without addresses.
/// # Yield and cancel safety
/// Dropping the future before its turn asks nothing; afterwards the answer is thrown away.
/// # Thread affinity
/// Any thread of a tokio runtime.
pub async fn resolve(name: String) -> io::Result<Vec<IpAddr>> {
    if let Ok(ip) = name.parse() {
        return Ok(vec![ip]);
    }
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let place = PLACES.clone().acquire_owned().await.map_err(io::Error::other)?;
    let asked = tokio::task::spawn_blocking(move || {
        let answer = (name.as_str(), 0).to_socket_addrs();
        drop(place);
        answer
    });
    let mut addresses = Vec::new();
    for found in asked.await.map_err(io::Error::other)?? {
        if !addresses.contains(&found.ip()) {
            addresses.push(found.ip());
        }
    }
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}
