-- Told of each server that goes up or down, by a check or by hand.
core.event_sub({ "SERVER_UP", "SERVER_DOWN" }, function(event, data, sub, when)
    core.log(core.notice, string.format("%s: %s/%s", event, data.proxy_name, data.name))
    if event == "SERVER_DOWN" then
        core.msleep(100) -- a handler may wait; the next event waits for it
        core.log(core.notice, "still thinking about " .. data.name)
    end
end)
