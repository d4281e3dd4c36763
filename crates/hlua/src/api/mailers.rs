//! The class `ProxyMailers`: what the configuration says about mail, as a plain table.
//!
//! Nothing here sends mail. A script does, with these settings, events and sockets; it says so by
//! `core.use_native_mailers_config`, which is accepted and changes nothing.
//!
//! Source: lua-api "ProxyMailers class", "Proxy.get_mailers", "core.use_native_mailers_config".

use crate::api::proxy;
use crate::raw::stack::{Flow, Ret, Stack};
use crate::value::Out;

/// No value at all where the proxy has no mailers, as in HAProxy.
pub(crate) fn get(stack: &mut Stack<'_>) -> Flow {
    let Some(mailers) = proxy::find(stack)?.and_then(|proxy| proxy.mailers()) else {
        return Ok(Ret::Count(0));
    };
    let servers = mailers
        .mailservers
        .into_iter()
        .map(|(name, address)| (Out::text(name), Out::text(address)))
        .collect();
    let text = |text: Option<String>| text.map_or(Out::Nil, Out::text);
    stack.push_out(&Out::record([
        ("track_server_health", Out::Bool(mailers.track_server_health)),
        ("log_level", Out::Int(mailers.log_level.into())),
        ("mailservers", Out::Table(servers)),
        ("mailservers_timeout", Out::Int(mailers.mailservers_timeout)),
        ("smtp_hostname", text(mailers.smtp_hostname)),
        ("smtp_from", text(mailers.smtp_from)),
        ("smtp_to", text(mailers.smtp_to)),
    ]))?;
    Ok(Ret::Count(1))
}

/// `core.use_native_mailers_config()`, and `core.disable_legacy_mailers()` as it was called before 3.3.
pub(crate) fn claim(stack: &mut Stack<'_>, name: &str) -> Flow {
    stack.need(0, name)?;
    Ok(Ret::Count(0))
}
