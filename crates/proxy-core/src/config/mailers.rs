//! `mailers` sections, and what a proxy mails to them.

use std::time::Duration;

use super::Place;
use crate::log::Level;

/// A `mailers` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailers {
    /// Its name.
    pub name: String,
    /// Where it was declared.
    pub place: Place,
    /// `timeout mail`
    pub timeout: Duration,
    /// `mailer` lines: names and addresses, as written.
    pub servers: Vec<(String, String)>,
}

/// `email-alert …` lines. For scripts: nothing here sends mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailAlert {
    /// `mailers`: a key of [`Config::mailers`](super::Config::mailers). With it `from` and `to` are there, too.
    pub mailers: Option<String>,
    /// `from`
    pub from: Option<String>,
    /// `to`
    pub to: Option<String>,
    /// `myhostname`
    pub myhostname: Option<String>,
    /// `level`; `alert` when absent.
    pub level: Option<Level>,
}
