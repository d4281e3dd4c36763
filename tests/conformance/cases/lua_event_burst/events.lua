-- A handler that sleeps while events pile up.
local handled, open = 0, false

core.event_sub({ "SERVER_STATE" }, function()
    while not open do
        core.msleep(2)
    end
    handled = handled + 1
    core.log(core.info, "handled " .. handled)
end)

core.register_action("open", { "http-req" }, function()
    open = true
end)
