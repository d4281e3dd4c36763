-- Tells of servers going down and up, in order, with what the event carries.
local seen = 0

core.event_sub({ "SERVER_DOWN", "SERVER_UP" }, function(event, data, sub, when)
    seen = seen + 1
    core.log(core.info, string.format("event %d: %s %s/%s by %s at %s", seen, event, data.proxy_name, data.name,
        data.reference and data.reference:get_name() or "nobody", type(when)))
end)
