-- Runs before the proxy serves (init), then beside it (task).
local ready = "not ready"

core.register_init(function()
    ready = "ready"
end)

core.register_task(function()
    for turn = 1, 3 do
        core.log(core.info, "turn " .. turn .. " of a task, " .. ready)
        core.msleep(10)
    end
    core.Info("the task is over")
end)
