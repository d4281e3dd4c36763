//! A small HTTP/1 and TCP proxy that reads HAProxy's configuration language: rules, samples, servers, checks.
