-- Many tasks that sleep; the figure is how many, their memory is read from outside.
local count = tonumber(os.getenv("BENCH_TASKS"))
for _ = 1, count do
    core.register_task(function() core.sleep(3600) end)
end
report(function()
    core.msleep(200)
    return count
end)
