//! Transitions: which events and lines each change gives, in which order.

use std::{
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use super::*;
use crate::{
    backend::{
        event::{AdminCause, OpCause, Updater},
        lb::Balance,
        testing::{Recorder, backend, server, start},
    },
    check::{CheckResult, status::CheckStatus},
    config::Proxy,
    host::{Addr, ServerObserver},
};

struct Scene {
    proxy: Arc<Proxy>,
    told: Recorder,
    now: Instant,
}

impl Scene {
    fn of(servers: Vec<crate::config::ServerConfig>) -> Self {
        Self::with(backend(Balance::RoundRobin, servers))
    }

    fn with(proxy: Proxy) -> Self {
        Self { proxy: Arc::new(proxy), told: Recorder::default(), now: start() }
    }

    fn check(&mut self, index: usize, status: CheckStatus, code: u16, info: &str) -> String {
        self.now += Duration::from_secs(1);
        let duration = Duration::from_millis(1);
        let result = CheckResult { agent: false, status, code, info: info.into(), duration };
        self.proxy.servers[index].apply_check(result, &self.told.context(&self.proxy, self.now));
        self.told.take()
    }

    fn admin(&mut self, index: usize, request: AdminRequest) -> String {
        self.now += Duration::from_secs(1);
        let cx = self.told.context(&self.proxy, self.now);
        self.proxy.servers[index].set_admin(request, AdminCause::None, &cx);
        self.told.take()
    }

    fn health(&mut self, index: usize, to: OpState) -> String {
        let cx = self.told.context(&self.proxy, self.now);
        self.proxy.servers[index].set_health(to, OpCause::Cli, &cx);
        self.told.take()
    }
}

#[test]
fn checks_bring_a_server_down_and_up_with_events_in_order() {
    let mut backup = server("s2");
    backup.backup = true;
    let mut scene = Scene::of(vec![server("s1"), backup]);
    let mut log = Vec::new();
    let (good, refused) = (CheckStatus::L7Okd, CheckStatus::L4Con);
    for (status, code, info) in [
        (good, 200, ""),
        (good, 200, ""),
        (refused, 0, "Connection refused"),
        (CheckStatus::L7Sts, 404, "Not Found"),
        (refused, 0, "Connection refused"),
        (refused, 0, "Connection refused"),
        (good, 200, ""),
        (good, 200, ""),
    ] {
        log.push(format!("-- {} {code}\n{}", status.short(), scene.check(0, status, code, info)));
    }
    insta::assert_snapshot!(log.join("\n"));
    assert_eq!(scene.proxy.servers[0].status(scene.now).down_time, Duration::from_secs(3));
}

#[test]
fn log_health_checks_tells_each_check_and_leaves_the_reason_out_of_the_state_line() {
    let mut proxy = backend(Balance::RoundRobin, vec![server("s1")]);
    proxy.options.log_health_checks = true;
    let mut scene = Scene::with(proxy);
    let log: Vec<String> =
        [CheckStatus::L4Ok, CheckStatus::L4Ok, CheckStatus::L4Tout, CheckStatus::L4Tout, CheckStatus::L4Tout]
            .into_iter()
            .map(|status| format!("-- {}\n{}", status.short(), scene.check(0, status, 0, "")))
            .collect();
    insta::assert_snapshot!(log.join("\n"));
}

#[test]
fn administrative_changes_tell_admin_first() {
    let mut disabled = server("s2");
    disabled.disabled = true;
    let mut scene = Scene::of(vec![server("s1"), disabled]);
    let mut log = Vec::new();
    for (index, request) in [
        (0, AdminRequest::Maint),
        (0, AdminRequest::Maint),
        (0, AdminRequest::Ready),
        (0, AdminRequest::Drain),
        (0, AdminRequest::Disable),
        (0, AdminRequest::Enable),
        (0, AdminRequest::Ready),
        (1, AdminRequest::Ready),
        (0, AdminRequest::Maint),
        (0, AdminRequest::Drain),
    ] {
        log.push(format!("-- s{} {request:?}\n{}", index + 1, scene.admin(index, request)));
    }
    insta::assert_snapshot!(log.join("\n"));
}

#[test]
fn forced_health_stops_and_starts() {
    let mut scene = Scene::of(vec![server("s1"), server("s2")]);
    let log: Vec<String> = [OpState::Stopped, OpState::Stopped, OpState::Stopping, OpState::Running]
        .into_iter()
        .map(|to| format!("-- {}\n{}", to.name(), scene.health(0, to)))
        .collect();
    insta::assert_snapshot!(log.join("\n"));
}

#[test]
fn conditional_pass_means_stopping_until_a_plain_pass() {
    let mut scene = Scene::of(vec![server("s1"), server("s2")]);
    scene.check(0, CheckStatus::L7Okcd, 404, "");
    assert_eq!(scene.proxy.servers[0].op_state(), OpState::Stopping);
    assert!(!scene.proxy.servers[0].is_usable());
    let told = scene.check(0, CheckStatus::L7Okd, 200, "");
    assert!(told.starts_with("s1 STATE STOPPING->RUNNING operational Health check=true"), "{told}");
}

#[test]
fn late_results_change_nothing_in_maintenance() {
    let mut scene = Scene::of(vec![server("s1")]);
    scene.admin(0, AdminRequest::Maint);
    assert_eq!(scene.check(0, CheckStatus::L4Ok, 0, ""), "");
    assert_eq!(scene.proxy.servers[0].op_state(), OpState::Stopped);
}

#[test]
fn slow_start_grows_the_weight_and_ends_in_running() {
    let mut config = server("s1");
    config.weight = 100;
    config.slowstart = Some(Duration::from_secs(10));
    let mut scene = Scene::of(vec![config]);
    scene.health(0, OpState::Stopped);
    scene.health(0, OpState::Running);
    let server = scene.proxy.servers[0].clone();
    assert_eq!(server.op_state(), OpState::Starting);
    let mut weights = Vec::new();
    for second in [0, 1, 5, 9] {
        let cx = scene.told.context(&scene.proxy, scene.now + Duration::from_secs(second));
        assert!(server.poll_slowstart(&cx).is_some());
        weights.push(server.effective_weight());
    }
    assert_eq!(weights, [1, 10, 50, 90]);
    let cx = scene.told.context(&scene.proxy, scene.now + Duration::from_secs(10));
    assert_eq!(server.poll_slowstart(&cx), None);
    assert_eq!((server.op_state(), server.effective_weight()), (OpState::Running, 100));
    assert_eq!(scene.told.take(), "s1 STATE STARTING->RUNNING operational None check=false requeued=0");
}

#[test]
fn an_observer_may_change_the_server_it_is_told_about() {
    struct Reenters(parking_lot::Mutex<Vec<String>>, Arc<Proxy>);
    impl ServerObserver for Reenters {
        fn on_server_event(&self, server: &Arc<Server>, event: &ServerEvent) {
            self.0.lock().push(format!("{event:?}").chars().take_while(|c| c.is_alphabetic()).collect());
            if *event == ServerEvent::Down {
                let cx = ChangeContext { now: start(), proxy: &self.1, observer: self, worker: None };
                server.set_health(OpState::Running, OpCause::None, &cx);
            }
        }
    }
    let proxy = Arc::new(backend(Balance::RoundRobin, vec![server("s1")]));
    let observer = Reenters(Default::default(), proxy.clone());
    let cx = ChangeContext { now: start(), proxy: &proxy, observer: &observer, worker: None };
    proxy.servers[0].set_health(OpState::Stopped, OpCause::None, &cx);
    assert_eq!(*observer.0.lock(), ["Down", "State", "Up", "State"]);
}

/// R07: addresses are whole, and the events replayed give the end state.
#[test]
fn changes_of_many_threads_are_told_in_the_order_they_were_made() {
    let proxy = Arc::new(backend(Balance::RoundRobin, vec![server("s1")]));
    let told = Recorder::default();
    let now = start();
    let target = &proxy.servers[0];
    let first = target.addr();
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..3_u8 {
            let (proxy, told, barrier) = (&proxy, &told, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for n in 0..500_u16 {
                    let cx = told.context(proxy, now);
                    let octet = thread + 1;
                    // INVARIANT under test: the port says which thread chose the address.
                    let port = u16::from(octet) * 1000 + n;
                    target.set_addr(Addr::Ip(([10, 0, 0, octet], port).into()), Updater::Cli, &cx);
                    let request = if n % 2 == 0 { AdminRequest::Maint } else { AdminRequest::Ready };
                    target.set_admin(request, AdminCause::None, &cx);
                    target.set_weight(WeightChange::Absolute(u32::from(n % 3)), &cx);
                    let to = if n % 5 == 0 { OpState::Stopped } else { OpState::Running };
                    target.set_health(to, OpCause::Cli, &cx);
                }
            });
        }
        barrier.wait();
        for _ in 0..5_000 {
            if let Addr::Ip(addr) = &*target.addr() {
                let std::net::IpAddr::V4(ip) = addr.ip() else { panic!("an IPv4 address") };
                let octet = u16::from(ip.octets()[3]);
                assert!(addr.port() == 80 || addr.port() / 1000 == octet, "a mixture: {addr}");
            }
        }
    });
    let (mut addr, mut op, mut admin) = ((*first).clone(), OpState::Running, AdminFlags::default());
    for (_, event) in told.events.lock().iter() {
        match event {
            ServerEvent::InetAddr(c) => {
                assert_eq!(c.prev, addr);
                addr = c.next.clone();
            }
            ServerEvent::State(c) => {
                assert_eq!(c.old, op);
                op = c.new;
            }
            ServerEvent::Admin(c) => {
                assert_eq!(c.old, admin);
                admin = c.new;
            }
            _ => {}
        }
    }
    assert_eq!((addr, op, admin), ((*target.addr()).clone(), target.op_state(), target.admin_flags()));
}
