//! One scenario a folder: a configuration, its scripts, and `case.txt`, which says what happens.
//!
//! A scenario runs against any proxy binary. It is conformance, not ours: all that Debian's haproxy can
//! do it must pass too, so a scenario that fails there is itself wrong. The language of `case.txt` is
//! told in [`script`]; what each step does, in [`world`].

mod client;
mod command_line;
mod requests;
mod script;
mod steps;
mod surroundings;
mod tables;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/cases")
}

/// A test a folder, under the folder's name.
macro_rules! cases {
    ($($name:ident)*) => {
        const CASES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                world::run(stringify!($name), &folder().join(stringify!($name)));
            }
        )*
    };
}

cases! {
    accepted_keywords
    acl_methods
    bad_responses
    balance
    balance_hash
    balance_leastconn
    big_bodies
    bind_ssl
    bind_ssl_settings
    bodiless
    chunked
    cli_inspection
    cli_levels
    client_leaves
    config_errors
    config_language
    config_script_error
    connect_refused
    error_page_mistakes
    error_pages
    expect_continue
    frontend_control
    header_injection
    header_rules
    health_checks
    hello_world_service
    http_1_0
    http_final_rules
    keep_alive
    limits
    logs
    lua_acme
    lua_act_codes
    lua_action_sleeps
    lua_action_yields
    lua_c_module
    lua_cert_cache
    lua_channel
    lua_channel_forwards
    lua_channel_legacy
    lua_channel_waits
    lua_cli
    lua_converter
    lua_core
    lua_cors
    lua_dates
    lua_endless_action
    lua_endless_task
    lua_error_values
    lua_event_burst
    lua_event_sub
    lua_event_sub_server
    lua_fetch_types
    lua_filter_config
    lua_filter_http
    lua_filter_order
    lua_filter_tcp
    lua_filter_verdicts
    lua_forced_yields
    lua_forward_auth
    lua_http_message
    lua_http_objects
    lua_http_rewrites
    lua_httpclient
    lua_httpclient_names
    lua_httpclient_tls
    lua_httpclient_untrusted
    lua_jwt
    lua_late_settings
    lua_lists
    lua_load_both
    lua_log_level
    lua_logs
    lua_mailers
    lua_map
    lua_map_methods
    lua_memory_cap
    lua_mirror
    lua_packet_marks
    lua_patref
    lua_per_thread
    lua_priority
    lua_prometheus
    lua_proxies
    lua_proxy_control
    lua_queue
    lua_redis
    lua_regex
    lua_reply
    lua_script_errors
    lua_service_body
    lua_service_misbehaves
    lua_service_objects
    lua_socket
    lua_socket_names
    lua_socket_reads
    lua_socket_tls
    lua_stack_overflow
    lua_status
    lua_stick_table
    lua_task_logs
    lua_tcp_actions
    lua_tcp_service
    lua_tcp_service_objects
    lua_then_spoe
    lua_txn
    many_clients
    map_errors
    maps
    monitor
    my_hash_fetch
    queue_priority
    server_changes
    server_queue
    server_ssl
    server_ssl_mistakes
    slow_pieces
    smuggling
    smuggling_strict
    soft_stop
    spoe_actions
    spoe_agent_killed
    spoe_agent_silent
    spoe_bad_answer
    spoe_bad_greeting
    spoe_conditions
    spoe_config_errors
    spoe_continue_on_error
    spoe_crowd_leaves
    spoe_errors
    spoe_events
    spoe_events_placed
    spoe_events_tcp
    spoe_fail_closed
    spoe_frame_size
    spoe_greeting
    spoe_groups
    spoe_health_check
    spoe_logs
    spoe_many_engines
    spoe_mode_spop
    spoe_proc_variables
    spoe_scopes
    spoe_show
    spoe_types
    spoe_unscoped
    spoe_variable
    stale_connections
    stats_socket
    stick_table_errors
    stick_tables
    target_rules
    tcp_mode
    terminations
    timeouts
    tunnels
    use_backend
    variables
    warnings_are_fatal
}

/// Where SPOP is spoken, the other end is upstream's proxy, too: our agent side must please it.
mod upstream {
    use super::{folder, world};

    #[test]
    fn spoe_variable() {
        world::run_upstream("spoe_variable", &folder().join("spoe_variable"));
    }

    #[test]
    fn lua_then_spoe() {
        world::run_upstream("lua_then_spoe", &folder().join("lua_then_spoe"));
    }

    #[test]
    fn spoe_types() {
        world::run_upstream("spoe_types", &folder().join("spoe_types"));
    }
}

#[test]
fn every_case_folder_is_a_test() {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap());
    let folders: BTreeSet<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let listed: BTreeSet<_> = CASES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(folders, listed, "the folders in conformance/cases and the list in conformance/mod.rs differ");
}
