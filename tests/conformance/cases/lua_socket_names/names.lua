local PORT = os.getenv("PORT")

local cases = {
    connect = { "localhost", PORT },
    inside = { "localhost:" .. PORT },
    nowhere = { "nosuch.invalid", 80 },
    no_port = { "localhost" },
}

core.register_service("names", "http", function(applet)
    local socket = core.tcp()
    socket:settimeout(5)
    local ok, connected = pcall(socket.connect, socket, table.unpack(cases[applet.path:sub(2)]))
    local text = tostring(connected)
    if ok and connected then
        socket:send("GET / HTTP/1.0\r\n\r\n")
        text = text .. " " .. socket:receive("*a"):match("\r\n\r\n(.*)$")
    end
    socket:close()
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
