-- Listens to one server only, and ends the subscription from inside its handler.
core.register_init(function()
    local seen = 0
    core.backends["be"].servers["s1"]:event_sub({ "SERVER_STATE" }, function(event, data, sub)
        seen = seen + 1
        core.log(core.info, string.format("s1 event %d: %s of %s", seen, event, data.name))
        if seen == 2 then
            sub:unsub()
        end
    end)
end)
