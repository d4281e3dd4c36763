//! What every entry says to wrong calls: a snapshot a class, which the proxy is held against as well.

use hlua::host::Side;
use hlua::host::memory::{MemoryAppletHttp, MemoryAppletTcp};
use hlua::{Callback, Config, Lent};

use crate::bench::{Bench, HTTP, TCP, get, stick_table};

#[test]
fn wrong_calls_are_told_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let bench = Bench::empty(&Config::default());
    bench.core.set_env("PROBE", folder.path().to_str().expect("the folder's name is text"));
    bench.core.patterns.add_map("probe.map", &[("a", "1")]);
    bench.core.proxies.add("fe", (true, false), &[]);
    bench.core.proxies.add("be", (false, true), &[("s1", "127.0.0.1:80")]);
    bench.core.proxies.add_stick_table("be", stick_table());
    bench.load(include_str!("probe.lua")).expect("the script loads");
    bench.action("probe", get()).1.expect("the action gets through");
    let http = Lent::AppletHttp(MemoryAppletHttp::new("GET", "/", &[], &[]));
    bench.service::<MemoryAppletHttp>(&HTTP, "probe", http).1.expect("the HTTP service gets through");
    let tcp = Lent::AppletTcp(MemoryAppletTcp::new(&[]));
    bench.service::<MemoryAppletTcp>(&TCP, "probe_tcp", tcp).1.expect("the TCP service gets through");
    bench.runtime.declare_filter(0, "probe", &[]).expect("the filter is declared");
    let filter = bench.runtime.open_filter(0).expect("new works").expect("and gives an instance");
    filter
        .call(Callback::HttpHeaders, Side::Request, get(), bench.now())
        .1
        .expect("the callback gets through");

    let mut files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 24);
    for file in files {
        let class = file.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(format!("wrong_calls_{class}"), text);
        });
    }
}
