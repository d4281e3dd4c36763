-- Handlers of a server's state, as many as asked for; the command `bench events` says how often they ran.
local heard = 0
for _ = 1, tonumber(os.getenv("BENCH_SUBSCRIBERS")) do
    core.event_sub({ "SERVER_UP", "SERVER_DOWN" }, function(event, data)
        if data.name == "origin" then heard = heard + 1 end
    end)
end
local usage = "bench events : how often a handler ran"
core.register_cli({ "bench", "events" }, usage, function(applet) applet:send("bench " .. heard .. "\n") end)
