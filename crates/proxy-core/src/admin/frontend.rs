//! `enable`, `disable` and `shutdown frontend`; `shutdown sessions server`.

use std::sync::Arc;

use super::{AdminContext, Answer};
use crate::{backend::listening::ListenState, config::Proxy, log::Level};

fn find<'a>(words: &[&str], cx: &AdminContext<'a>) -> Result<&'a Arc<Proxy>, Answer> {
    let name = words.first().ok_or_else(|| Answer::error("A frontend name is expected."))?;
    let config = &cx.shared.config;
    let found = match name.strip_prefix('#').and_then(|id| id.parse::<u32>().ok()) {
        Some(uuid) => config.proxies.iter().find(|p| p.uuid == uuid && p.capabilities.frontend),
        None => config.frontends.get(*name),
    };
    found.ok_or_else(|| Answer::error("No such frontend."))
}

/// `enable frontend` and `disable frontend`.
pub(super) fn switch(on: bool, words: &[&str], cx: &AdminContext<'_>) -> Answer {
    let proxy = match find(words, cx) {
        Ok(proxy) => proxy,
        Err(answer) => return answer,
    };
    let listening = &proxy.state.listening;
    let (done, verb, past, event) = if on {
        (listening.resume(), "enable", "enabled", "Resumed")
    } else {
        (listening.pause(), "disable", "disabled", "Paused")
    };
    if done {
        tell(proxy, &format!("{event} {} {}.", noun(proxy), proxy.name), cx);
        return Answer::done();
    }
    if listening.state() == ListenState::Stopped {
        return Answer::error(format!("Frontend was previously shut down, cannot {verb}."));
    }
    Answer::error(format!("All sockets are already {past}."))
}

/// `shutdown frontend`.
pub(super) fn shutdown(words: &[&str], cx: &AdminContext<'_>) -> Answer {
    let proxy = match find(words, cx) {
        Ok(proxy) => proxy,
        Err(answer) => return answer,
    };
    if !proxy.state.listening.stop() {
        return Answer::error("Frontend was already shut down.");
    }
    let text = format!(
        "Proxy {} stopped (cumulated conns: FE: {}, BE: {}).",
        proxy.name,
        proxy.state.fe_sessions.total(),
        proxy.state.be_sessions.total()
    );
    tell(proxy, &text, cx);
    Answer::done()
}

/// `shutdown sessions server`.
pub(super) fn kill_sessions(words: &[&str], cx: &AdminContext<'_>) -> Answer {
    match cx.server(words.first()) {
        Ok((_, server)) => {
            server.kill_sessions();
            cx.shared.roll_call.bump();
            Answer::done()
        }
        Err(answer) => answer,
    }
}

fn noun(proxy: &Proxy) -> &'static str {
    if proxy.capabilities.backend { "proxy" } else { "frontend" }
}

fn tell(proxy: &Arc<Proxy>, text: &str, cx: &AdminContext<'_>) {
    cx.shared.observer.on_proxy_notice(proxy, text);
    if let Some(worker) = cx.worker {
        crate::log::send(worker, &proxy.logs, Level::Warning, text.as_bytes());
    }
}
