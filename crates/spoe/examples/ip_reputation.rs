//! An agent that scores the client's address: HAProxy asks once per request and rejects by the answer.
//!
//! ```text
//! cargo run --example ip_reputation --features tokio-net -- 127.0.0.1:12345
//! ```
//!
//! The crate's README shows the HAProxy configuration that goes with it.

use std::net::IpAddr;

use spoe::agent::{Options, Reply, Request, listen};
use spoe::{Scope, TypedData};
use tokio::net::TcpListener;

/// From 0, known for abuse, to 100, beyond suspicion.
fn score(address: IpAddr) -> u32 {
    match address {
        address if address.is_loopback() => 100,
        IpAddr::V4(address) if address.is_private() => 80,
        // TEST-NET-3 stands for "somebody's botnet".
        IpAddr::V4(address) if address.octets().starts_with(&[203, 0, 113]) => 5,
        _ => 50,
    }
}

async fn answer(request: Request) -> Reply {
    let ip = request.message("get-ip-reputation").and_then(|message| message.arg("ip"));
    match ip.as_ref().and_then(TypedData::as_ip) {
        Some(ip) => Reply::new().set(Scope::Session, "ip_score", score(ip)),
        None => Reply::new(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12345".into());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    listen(listener, answer, Options::default(), std::future::pending()).await;
    Ok(())
}
