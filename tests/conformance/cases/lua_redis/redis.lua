-- A client for redis: requests as arrays of bulk strings, replies of all kinds but nested arrays.
local redis = {}
redis.__index = redis

function redis.connect(host, port)
    local socket = core.tcp()
    socket:settimeout(2)
    assert(socket:connect(host, port))
    return setmetatable({ socket = socket }, redis)
end

function redis:call(...)
    local words = { ... }
    local parts = { "*" .. #words .. "\r\n" }
    for _, word in ipairs(words) do
        parts[#parts + 1] = "$" .. #word .. "\r\n" .. word .. "\r\n"
    end
    local request = table.concat(parts)
    assert(self.socket:send(request) == #request)
    return self:reply()
end

function redis:reply()
    local line = assert(self.socket:receive("*l"))
    local kind, rest = line:sub(1, 1), line:sub(2)
    if kind == "+" then return rest end
    if kind == ":" then return tonumber(rest) end
    if kind == "-" then return nil, rest end
    assert(kind == "$", "unknown reply " .. line)
    local length = tonumber(rest)
    if length < 0 then return nil end
    local data = self.socket:receive(length + 2)
    return data:sub(1, length)
end

local host, port = os.getenv("REDIS"):match("^(.*):(%d+)$")

core.register_action("lookup", { "http-req" }, function(txn)
    local client = redis.connect(host, tonumber(port))
    txn:set_var("txn.pong", client:call("PING"))
    local user, why = client:call("GET", "user:" .. txn.sf:path():match("[^/]+$"))
    txn:set_var("txn.user", user or why or "nobody")
    client.socket:close()
end)

core.register_service("tell", "http", function(applet)
    local text = applet:get_var("txn.user")
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:add_header("x-pong", applet:get_var("txn.pong"))
    applet:start_response()
    applet:send(text)
end)
