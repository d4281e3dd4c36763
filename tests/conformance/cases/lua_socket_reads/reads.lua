-- Each way to read from a socket, at its edges.
local function answer(applet, ...)
    local text = table.concat({ ... }, "|")
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end

local function open(name)
    local host, port = os.getenv(name):match("^(.*):(%d+)$")
    local socket = core.tcp()
    assert(socket:connect(host, tonumber(port)))
    return socket
end

core.register_service("lines", "http", function(applet)
    local socket = open("ECHO")
    socket:send("\nan empty one was before\r\n")
    local empty, text = socket:receive("*l"), socket:receive("*l")
    socket:send("in ")
    socket:send("pieces\n")
    local pieces = socket:receive()
    socket:send(string.rep("z", 5000) .. "\n")
    local long = socket:receive("*l")
    socket:close()
    answer(applet, empty, text, pieces, #long)
end)

core.register_service("all", "http", function(applet)
    local socket = open("ORIGIN")
    socket:send("GET /unframed HTTP/1.1\r\nhost: x\r\n\r\n")
    local all = socket:receive("*a")
    socket:close()
    answer(applet, all:match("\r\n\r\n(.*)$"))
end)

core.register_service("silent", "http", function(applet)
    local socket = open("ECHO")
    socket:settimeout(1)
    local data, why = socket:receive("*l")
    socket:close()
    answer(applet, tostring(data), why)
end)
