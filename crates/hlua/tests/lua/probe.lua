-- Calls every entry of the API wrongly, in the context that it belongs to, and writes what is said, a file a class, into
-- the folder PROBE. The same script runs on a host in memory and in the proxy, and must write the same.
local folder = os.getenv("PROBE")

-- These end the run or wait for ever, or say what the configuration says (a server without an agent).
local skipped = {
    done = true, wait = true, pop_wait = true, sleep = true, msleep = true, yield = true,
    agent_enable = true, agent_disable = true, agent_force_up = true, agent_force_down = true,
}

-- Nothing takes it as an argument, unless it takes anything.
local awkward = io.stdout

local function said(ok, message)
    if ok then
        return "taken"
    end
    return (tostring(message):gsub("0x%x+", "ADDRESS"):gsub("file %(ADDRESS%)", "FILE"))
end

-- What each function says to none, one, two… awkward arguments, behind `self` if there is one.
local function wrong(class, functions, make)
    local names = {}
    for name, value in pairs(functions) do
        if type(value) == "function" and not skipped[name] and not name:match("^__") then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    local file = assert(io.open(folder .. "/" .. class .. ".txt", "w"))
    for _, name in ipairs(names) do
        file:write(name, "\n")
        if make then
            file:write("  without self: ", said(pcall(functions[name])), "\n")
        end
        local before
        for count = 0, 6 do
            local args = { awkward, awkward, awkward, awkward, awkward, awkward }
            if make then
                table.insert(args, 1, make())
            end
            local ok, message = pcall(functions[name], table.unpack(args, 1, count + (make and 1 or 0)))
            local text = said(ok, message)
            if text ~= before then
                file:write("  ", count, ": ", text, "\n")
            end
            before = text
            if ok then
                break
            end
        end
    end
    file:close()
end

local function object(class, make)
    wrong(class, debug.getmetatable(make()).__index, make)
end

local map = Map.new("probe.map")

core.register_action("probe", { "http-req" }, function(txn)
    wrong("core", core)
    wrong("act", act)
    wrong("Map", Map)
    wrong("Regex", Regex)
    wrong("CertCache", CertCache)
    wrong("filter", filter)
    object("MapObject", function() return map end)
    object("RegexObject", function() return select(2, Regex.new("a", true)) end)
    object("Concat", core.concat)
    object("Queue", core.queue)
    object("Socket", core.tcp)
    object("HTTPClient", core.httpclient)
    object("EventSub", function() return core.event_sub({ "SERVER_UP" }, function() end) end)
    object("Listener", function() return select(2, next(core.frontends.fe.listeners)) end)
    object("Server", function() return core.backends.be.servers.s1 end)
    object("Proxy", function() return core.backends.be end)
    object("StickTable", function() return core.backends.be.stktable end)
    object("HTTP", function() return txn.http end)
    object("Channel", function() return txn.req end)
    object("Reply", function() return txn:reply() end)
    object("TXN", function() return txn end)
end)

core.register_service("probe", "http", function(applet)
    object("AppletHTTP", function() return applet end)
end)

core.register_service("probe_tcp", "tcp", function(applet)
    object("AppletTCP", function() return applet end)
end)

local Probe = { flags = filter.FLT_CFG_FL_HTX }
Probe.__index = Probe

function Probe:new()
    return setmetatable({}, Probe)
end

function Probe:http_headers(txn, message)
    if not message:is_resp() then
        object("HTTPMessage", function() return message end)
    end
    return filter.CONTINUE
end

core.register_filter("probe", Probe, function(class) return class end)
