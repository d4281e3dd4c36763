local function service(name, run)
    core.register_service(name, "http", function(applet)
        local text = run()
        applet:set_status(200)
        applet:add_header("content-length", #text)
        applet:start_response()
        applet:send(text)
    end)
end

local function open(variable)
    local host, port = os.getenv(variable):match("^(.*):(%d+)$")
    local socket = core.tcp()
    socket:settimeout(5)
    return socket, socket:connect_ssl(host, port)
end

service("tls", function()
    local socket, connected = open("TLS")
    socket:send("hello\n1234")
    local line, first, rest = socket:receive("*l"), socket:receive(2), socket:receive(2)
    local peer = socket:getpeername()
    socket:close()
    return connected .. " " .. table.concat({ line, first, rest }, "|") .. " " .. peer
end)

-- More than one record, and more than any buffer.
service("long", function()
    local socket = open("TLS")
    local text = ("0123456789"):rep(1000)
    local whole = {}
    for _ = 1, 30 do
        assert(socket:send(text) == #text)
        whole[#whole + 1] = socket:receive(#text)
    end
    socket:close()
    local all = table.concat(whole)
    return #all .. (all == text:rep(30) and " yes" or " no")
end)

-- A server that speaks no TLS echoes our greeting.
service("plain", function()
    local socket, connected, why = open("ECHO")
    socket:close()
    return tostring(connected) .. " " .. tostring(why)
end)

service("arguments", function()
    local socket = core.tcp()
    return (select(2, pcall(socket.connect_ssl, socket, "127.0.0.1")))
end)
