//! What tidegate itself offers on top of the joined crates.

mod cli_applet;
pub mod cli_session;
pub mod http_client;
pub mod inspection;
pub mod runtime_api;
pub mod scripts;
