//! Scenarios in varnishtest's language, run by varnishtest over the proxy under test.
