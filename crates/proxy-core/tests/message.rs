//! What a message head lets its users see and change, and what it refuses.

use proxy_core::{
    applet::Reply,
    http::{InvalidText, Message, Version},
};

fn request(uri: &str, headers: &[(&str, &str)]) -> Message {
    let mut message = Message::default();
    message.set_request(b"GET", uri.as_bytes(), Version::Http11).unwrap();
    for (name, value) in headers {
        message.add_header(name.as_bytes(), value.as_bytes()).unwrap();
    }
    message
}

fn wire(message: &Message) -> String {
    let mut out = Vec::new();
    message.write_start_line(&mut out);
    out.extend_from_slice(b"\r\n");
    message.write_headers(&mut out);
    out.extend_from_slice(b"\r\n");
    assert_eq!(message.wire_len(), out.len());
    String::from_utf8(out).unwrap()
}

#[test]
fn path_and_query_are_parts_of_the_target() {
    let cases = [
        ("/", "/", None),
        ("/a/b?c=d?e", "/a/b", Some("c=d?e")),
        ("*", "", None),
        ("http://host/x/y?q", "/x/y", Some("q")),
        ("http://host?q/z", "", Some("q/z")),
        ("http://host", "", None),
        ("host:443", "", None),
        ("/a?", "/a", Some("")),
        ("/go?to=http://host/p", "/go", Some("to=http://host/p")),
    ];
    for (uri, path, query) in cases {
        let message = request(uri, &[]);
        assert_eq!(message.path(), path.as_bytes(), "path of {uri}");
        assert_eq!(message.query(), query.map(str::as_bytes), "query of {uri}");
    }
}

#[test]
fn path_and_query_are_replaced_where_they_stand() {
    let path = [("/a?b", "/x?b"), ("*", "/x"), ("http://h/a?b", "http://h/x?b"), ("http://h", "http://h/x")];
    for (uri, after) in path {
        let mut message = request(uri, &[]);
        message.set_path(b"/x").unwrap();
        assert_eq!(message.uri(), after.as_bytes(), "path of {uri}");
    }
    let query = [("/a?b", "n", "/a?n"), ("/a", "n", "/a?n"), ("/a", "", "/a"), ("/a?b", "", "/a?")];
    for (uri, new, after) in query {
        let mut message = request(uri, &[]);
        message.set_query(new.as_bytes()).unwrap();
        assert_eq!(message.uri(), after.as_bytes(), "query of {uri}");
    }
}

#[test]
fn headers_keep_case_and_order_through_changes() {
    let mut message = request("/", &[("Host", "h"), ("X-A", "1"), ("accept", "*"), ("x-a", "2")]);
    assert_eq!(message.header(b"X-a"), Some(b"1".as_slice()));
    message.set_header(b"X-B", b"b").unwrap();
    assert!(message.del_header(b"x-A"));
    assert!(!message.del_header(b"x-A"));
    message.set_header(b"HOST", b"other").unwrap();
    assert_eq!(wire(&message), "GET / HTTP/1.1\r\naccept: *\r\nX-B: b\r\nHOST: other\r\n\r\n");
}

#[test]
fn values_are_split_at_commas_outside_quotes() {
    let message = request("/", &[("A", "1, 2 ,\"x,y\\\",z\" , "), ("b", "no"), ("a", "3")]);
    let values: Vec<_> =
        message.header_values(b"a").map(|v| String::from_utf8_lossy(v).into_owned()).collect();
    assert_eq!(values, ["1", "2", "\"x,y\\\",z\"", "", "3"]);
}

#[test]
fn replace_value_leaves_the_rest_of_the_line() {
    let mut message = request("/", &[("a", "one,  two , three"), ("a", "four")]);
    let changed = message.replace_value(b"A", |v| (v.len() == 3).then(|| [b"<", v, b">"].concat())).unwrap();
    assert_eq!(changed, 1);
    assert_eq!(wire(&message), "GET / HTTP/1.1\r\na: <one>,  <two> , three\r\na: four\r\n\r\n");
}

#[test]
fn one_bad_replacement_changes_nothing() {
    let mut message = request("/", &[("a", "1"), ("a", "2")]);
    let before = wire(&message);
    let mut bad = [b"x".to_vec(), b"x\r\ny: z".to_vec()].into_iter();
    assert_eq!(message.replace_header(b"a", |_| bad.next()), Err(InvalidText));
    assert_eq!(wire(&message), before);
}

/// Reliability R03: every control byte, every way in.
#[test]
fn control_bytes_never_change_where_a_line_ends() {
    type Change = fn(&mut Message, &[u8]) -> bool;
    for byte in (0..=0x1f_u8).chain([0x7f]) {
        let text = [b'a', byte, b'b'];
        let ends_line = matches!(byte, 0 | b'\r' | b'\n');
        let changes: [(&str, bool, Change); 10] = [
            ("method", true, |m, t| m.set_method(t).is_ok()),
            ("uri", true, |m, t| m.set_uri(t).is_ok()),
            ("path", true, |m, t| m.set_path(t).is_ok()),
            ("query", true, |m, t| m.set_query(t).is_ok()),
            ("add name", true, |m, t| m.add_header(t, b"v").is_ok()),
            ("set name", true, |m, t| m.set_header(t, b"v").is_ok()),
            ("add value", ends_line, |m, t| m.add_header(b"n", t).is_ok()),
            ("set value", ends_line, |m, t| m.set_header(b"n", t).is_ok()),
            ("replace line", ends_line, |m, t| m.replace_header(b"h", |_| Some(t.to_vec())).is_ok()),
            ("replace value", ends_line, |m, t| m.replace_value(b"h", |_| Some(t.to_vec())).is_ok()),
        ];
        for (name, refused, change) in changes {
            let mut message = request("/p", &[("h", "v")]);
            let before = wire(&message);
            let accepted = change(&mut message, &text);
            assert_eq!(accepted, !refused, "{name} with byte {byte:#04x}");
            assert!(accepted || wire(&message) == before, "{name} left no trace");
            assert!(wire(&message).matches("\r\n").count() <= 4, "{name} with byte {byte:#04x}");
        }
        let mut response = Message::default();
        response.set_response(200, None, Version::Http11).unwrap();
        let accepted = response.set_status(200, Some(&text)).is_ok();
        assert_eq!(accepted, byte == b'\t', "reason with byte {byte:#04x}");
    }
}

#[test]
fn a_reply_becomes_a_head() {
    let reply = Reply { status: 404, headers: vec![(b"a".to_vec(), b"b".to_vec())], ..Reply::default() };
    assert_eq!(wire(&Message::from_reply(&reply).unwrap()), "HTTP/1.1 404 Not Found\r\na: b\r\n\r\n");
    let bad = Reply { status: 200, headers: vec![(b"a b".to_vec(), b"b".to_vec())], ..Reply::default() };
    assert!(Message::from_reply(&bad).is_err());
}

#[test]
fn endless_changes_do_not_pile_up() {
    let mut message = request("/", &[("Keep", "me")]);
    for round in 0..100_000_u32 {
        message.set_header(b"x", round.to_string().as_bytes()).unwrap();
        message.set_path(b"/some/path").unwrap();
    }
    assert_eq!(wire(&message), "GET /some/path HTTP/1.1\r\nKeep: me\r\nx: 99999\r\n\r\n");
    let huge = vec![b'a'; 2 << 20];
    assert_eq!(message.add_header(b"y", &huge), Err(InvalidText));
}
