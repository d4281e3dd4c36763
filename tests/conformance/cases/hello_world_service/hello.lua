-- The smallest HTTP service: one header, one body, sent in two pieces.
core.register_service("hello", "http", function(applet)
    local text = "Hello World !\n"
    applet:set_status(200)
    applet:add_header("content-length", string.len(text))
    applet:add_header("content-type", "text/plain")
    applet:start_response()
    applet:send(string.sub(text, 1, 5))
    applet:send(string.sub(text, 6))
end)
