//! `show servers state` and `show backend`.

use std::{fmt::Write as _, sync::Arc};

use super::{AdminContext, Answer};
use crate::{backend::server::Server, check::status::CheckStatus, config::Proxy, host::Addr};

/// Columns of version 1 (management.txt, "show servers state").
const COLUMNS: &str = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
                       srv_time_since_last_change srv_check_status srv_check_result srv_check_health \
                       srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord \
                       srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port";
/// Bits of the check state.
const CHECK_CONFIGURED: u8 = 0x02;
const CHECK_ENABLED: u8 = 0x04;
const CHECK_PAUSED: u8 = 0x08;

pub(super) fn show_servers(words: &[&str], cx: &AdminContext<'_>) -> Answer {
    let mut out = format!("1\n# {COLUMNS}\n");
    match words.first() {
        Some(name) => match cx.backend(name) {
            Some(proxy) => write_proxy(proxy, cx, &mut out),
            None => return Answer::error("Can't find backend."),
        },
        None => backends(cx).for_each(|proxy| write_proxy(proxy, cx, &mut out)),
    }
    Answer::text(out)
}

pub(super) fn show_backends(cx: &AdminContext<'_>) -> Answer {
    Answer::text(backends(cx).fold("# name\n".to_owned(), |out, proxy| out + &proxy.name + "\n"))
}

fn backends<'a>(cx: &AdminContext<'a>) -> impl Iterator<Item = &'a Arc<Proxy>> {
    cx.shared.config.proxies.iter().filter(|p| p.capabilities.backend && !p.disabled)
}

fn write_proxy(proxy: &Proxy, cx: &AdminContext<'_>, out: &mut String) {
    for server in &proxy.servers {
        write_server(proxy, server, cx, out);
    }
}

fn write_server(proxy: &Proxy, server: &Server, cx: &AdminContext<'_>, out: &mut String) {
    let status = server.status(cx.now);
    let (ip, port) = match &*server.addr() {
        Addr::Ip(addr) => (addr.ip().to_string(), addr.port()),
        _ => ("-".to_owned(), 0),
    };
    let check = status.last_check.as_ref();
    let mut check_state = 0;
    if server.config.check {
        check_state |= CHECK_CONFIGURED;
    }
    if server.checks_enabled() {
        check_state |= CHECK_ENABLED;
    }
    if status.admin.is_maint() {
        check_state |= CHECK_PAUSED;
    }
    let since = cx.now.saturating_duration_since(status.last_change.unwrap_or(cx.process.started)).as_secs();
    let check_addr = server.config.check_addr.map_or("-".to_owned(), |ip| ip.to_string());
    let _ = writeln!(
        out,
        "{} {} {} {} {ip} {} {} {} {} {since} {} {} {} {check_state} 0 0 {} - {port} - 0 {} {check_addr} - 0",
        proxy.uuid,
        proxy.name,
        server.puid,
        server.name(),
        status.op as u8,
        status.admin.0,
        status.user_weight,
        server.initial_weight(),
        check.map_or(CheckStatus::Init, |c| c.status) as u8,
        check.map_or(0, |c| c.result as u8),
        status.health.cur,
        u8::from(server.config.puid != 0),
        server.check_port().unwrap_or(0),
    );
}
