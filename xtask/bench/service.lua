-- Answers by itself, with something of the request in it.
core.register_service("hello", "http", function(applet)
    local text = string.format("hello from lua, %s %s %s", applet.method, applet.path, applet.headers["x-bench"][0])
    applet:set_status(200)
    applet:add_header("content-type", "text/plain")
    applet:add_header("content-length", tostring(#text))
    applet:start_response()
    applet:send(text)
end)
