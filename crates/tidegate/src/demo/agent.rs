//! The demonstration's agent: scores each address and path, as an IP-reputation service would.

use std::{future::pending, io, net::SocketAddr};

use spoe::{
    Scope, TypedData,
    agent::{Options, Reply, Request, listen},
};
use tokio::net::TcpListener;

/// The score of what is welcome, and of what is not.
const SCORES: (i64, i64) = (80, 10);

/// Listens on a free port and answers until the runtime ends.
///
/// # Errors
/// No port is free.
pub(super) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    super::spawn(listen(listener, score, Options::default(), pending()));
    Ok(addr)
}

async fn score(request: Request) -> Reply {
    let Some(ask) = request.message("ask") else { return Reply::new() };
    let forbidden =
        matches!(ask.arg("path"), Some(TypedData::String(path)) if path.starts_with(b"/forbidden"));
    let score = if forbidden { SCORES.1 } else { SCORES.0 };
    Reply::new().set(Scope::Transaction, "score", TypedData::Int64(score))
}
