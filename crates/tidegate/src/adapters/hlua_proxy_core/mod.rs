//! hlua's host, made of proxy-core: TXN, HTTP, applets, samples, proxies and servers.

mod applet;
mod catalog;
mod stream;
mod txn;

pub use applet::LuaApplet;
pub use catalog::Catalog;
pub use txn::LuaTxn;
