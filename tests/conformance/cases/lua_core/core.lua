-- Functions of the core class, from a service.
local started = {}
core.register_init(function() started[#started + 1] = "first" end)
core.register_init(function() started[#started + 1] = "second" end)

local function words()
    local now, info = core.now(), core.get_info()
    local concat = core.concat()
    concat:add("con")
    concat:add("cat")
    local before = core.now()
    core.msleep(10)
    core.yield()
    local after = core.now()
    local slept = (after.sec - before.sec) * 1000 + (after.usec - before.usec) / 1000
    return {
        table.concat(started, "+"),
        table.concat(core.tokenize("a, b,,c", ","), "|"),
        table.concat(core.tokenize("a  b", " ", true), "|"),
        concat:dump(),
        now.sec > 1000000000 and now.usec < 1000000 and "now" or "never",
        info.Name and info.Uptime_sec and "info" or "no info",
        slept >= 9 and "slept" or "woke early",
        type(core.thread),
    }
end

core.register_service("core", "http", function(applet)
    local text = table.concat(words(), " ")
    applet:set_status(200, "Told")
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
