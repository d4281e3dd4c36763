//! The same agent as its neighbour on the crate `spop`, on our library.
//!
//! It answers the message `ask` with `txn.score` = 42 and, if it has an argument `path`, with `txn.echo` = that.
//! Prints its address, and serves until it is killed.

use std::env;
use std::future::pending;
use std::io::{self, Write as _, stdout};

use spoe::Scope;
use spoe::agent::{Options, Reply, Request, listen};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    stdout().flush()?;
    listen(listener, answer, Options::default(), pending()).await;
    Ok(())
}

async fn answer(request: Request) -> Reply {
    let Some(ask) = request.message("ask") else { return Reply::new() };
    let reply = match ask.arg("path") {
        Some(path) => Reply::new().set(Scope::Transaction, "echo", path),
        None => Reply::new(),
    };
    reply.set(Scope::Transaction, "score", 42)
}
