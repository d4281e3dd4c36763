-- Seconds by the clock that core.msleep(1) takes, the median.
report(function()
    local taken = {}
    for n = 1, 301 do
        local before = core.now()
        core.msleep(1)
        local after = core.now()
        taken[n] = (after.sec - before.sec) + (after.usec - before.usec) / 1e6
    end
    table.sort(taken)
    return taken[151]
end)
