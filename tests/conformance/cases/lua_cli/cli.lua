core.register_cli({ "show", "ssl", "stats" }, "Display SSL stats..", function(applet, ...)
    applet:send(table.concat({ ... }, "|") .. "\n")
end)

core.register_cli({ "tell" }, "tell: says what it is", function(applet)
    applet:send(tostring(applet) .. "\n")
    core.msleep(20)
    applet:send("later\n")
end)

core.register_cli({ "line" }, "line: reads one", function(applet)
    applet:send("got " .. applet:getline() .. "\n")
end)

core.register_cli({ "count" }, "count: says much", function(applet, _, count)
    for _ = 1, tonumber(count) do
        applet:send("xxxxxxxxx\n")
    end
end)

core.register_cli({ "fails" }, "fails: does", function(applet)
    applet:send("before\n")
    error("oops")
end)

core.register_cli({ "twice" }, "first", function(applet) applet:send("first\n") end)
core.register_cli({ "twice" }, "second", function(applet) applet:send("second\n") end)

-- What is refused.
local refused = {
    { "tell", "usage", function() end },
    { { 1 }, "usage", function() end },
    { { "x" }, {}, function() end },
    { { "x" }, "usage" },
}
for _, args in ipairs(refused) do
    assert(not pcall(core.register_cli, table.unpack(args)))
end
