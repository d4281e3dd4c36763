-- Answers with what was asked: method, path, query, a header, the whole body.
core.register_service("mirror", "http", function(applet)
    local body = applet:receive()
    local header = applet.headers["x-ask"]
    local text = string.format("%s %s %s %s %d %s", applet.method, applet.path, applet.qs or "",
        header and header[0] or "-", #body, body:sub(1, 10))
    applet:set_status(201)
    applet:add_header("content-length", #text)
    applet:add_header("x-two", "a")
    applet:add_header("x-two", "b")
    applet:start_response()
    applet:send(text)
end)
