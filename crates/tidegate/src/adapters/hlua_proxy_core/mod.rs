//! hlua's host, made of proxy-core: TXN, HTTP, applets, samples, proxies and servers.

mod applet;
mod catalog;
mod certificates;
mod http_client;
mod proxies;
mod regex;
mod stream;
mod tables;
mod txn;

pub use applet::LuaApplet;
pub use catalog::{Catalog, Compiled};
pub use certificates::LuaCertificates;
pub use http_client::{LuaHttpClient, unix_addr};
pub use proxies::LuaProxies;
pub use regex::compile as compile_regex;
pub use tables::LuaPatterns;
pub use txn::{LuaTxn, side_of};
