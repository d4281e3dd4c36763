-- A task has no time limit by default: it is interrupted and goes on, for ever.
core.register_task(function()
    local n = 0
    while true do
        n = n + 1
    end
end)
