//! `option spop-check`: an agent is up if it answers a greeting.

use proxy_core::check::{Prober, Verdict, status::CheckStatus};
use spoe::connection::health_check;

/// Greets an agent as HAProxy's health check does.
#[derive(Debug)]
pub(super) struct SpopCheck;

impl Prober for SpopCheck {
    fn request(&self) -> Vec<u8> {
        health_check::request()
    }

    fn judge(&self, answer: &[u8], _ended: bool) -> Option<Verdict> {
        match health_check::answer(answer) {
            Ok(None) => None,
            Ok(Some(())) => Some(Verdict::new(CheckStatus::L7Okd, "SPOP agent is ready")),
            Err(refused) => Some(Verdict::new(CheckStatus::L7Rsp, refused.status.text())),
        }
    }
}
