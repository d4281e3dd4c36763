//! An agent that checks JSON Web Tokens signed with HS256, so that the proxy needs no key.
//!
//! ```text
//! JWT_SECRET=... cargo run --example jwt_check --features tokio-net -- 127.0.0.1:12346
//! ```
//!
//! Sets `txn.PREFIX.ok`, and `txn.PREFIX.sub` to the token's subject or `txn.PREFIX.why` to what is wrong. The time comes from
//! the proxy (`now=date`), so both agree on what has expired. `examples/README.md` shows the HAProxy configuration.

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use spoe::Scope;
use spoe::agent::{Options, Reply, Request, listen};
use tokio::net::TcpListener;

spoe::message! {
    /// `args authorization=req.hdr(authorization) now=date`
    struct CheckToken<'a>("check-token") {
        authorization: Option<&'a str>,
        now: i64,
    }
}

/// The subject of a good token, or what is wrong with it.
fn check(token: &CheckToken<'_>, secret: &[u8]) -> Result<String, &'static str> {
    let token = token.authorization.ok_or("no token").map(|text| (text, token.now));
    let (text, now) = token?;
    let text = text.strip_prefix("Bearer ").ok_or("not a bearer token")?;
    let (signed, signature) = text.rsplit_once('.').ok_or("not a token")?;
    let (header, claims) = signed.split_once('.').ok_or("not a token")?;
    // The header says how it was signed; the key says how it must be.
    if json(header).ok_or("unreadable header")?["alg"] != "HS256" {
        return Err("not signed with HS256");
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| "no key")?;
    mac.update(signed.as_bytes());
    let signature = base64url(signature).ok_or("unreadable signature")?;
    mac.verify_slice(&signature).map_err(|_| "wrong signature")?;
    let claims = json(claims).ok_or("unreadable claims")?;
    match (claims["exp"].as_i64(), claims["nbf"].as_i64()) {
        (None, _) => Err("never expires"),
        (Some(end), _) if end <= now => Err("expired"),
        (_, Some(begin)) if begin > now => Err("not valid yet"),
        _ => Ok(claims["sub"].as_str().unwrap_or_default().to_owned()),
    }
}

fn json(part: &str) -> Option<Value> {
    serde_json::from_slice(&base64url(part)?).ok()
}

/// Base64 with `-` and `_`, without padding.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::with_capacity(text.len() * 3 / 4));
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:12346".into());
    let secret = std::env::var("JWT_SECRET").map_err(|_| "JWT_SECRET is not set")?;
    let handler = move |request: Request| {
        let outcome = match request.read::<CheckToken<'_>>() {
            Ok(token) => check(&token, secret.as_bytes()),
            Err(_) => Err("unexpected message"),
        };
        let reply = Reply::new().set(Scope::Transaction, "ok", outcome.is_ok());
        std::future::ready(match &outcome {
            Ok(subject) => reply.set(Scope::Transaction, "sub", subject),
            Err(why) => reply.set(Scope::Transaction, "why", *why),
        })
    };
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    listen(listener, handler, Options::default(), std::future::pending()).await;
    Ok(())
}
