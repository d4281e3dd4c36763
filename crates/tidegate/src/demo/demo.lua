-- What `tidegate demo` loads: one of each thing that a script can register.

-- An action: greets by name where the client gives one.
core.register_action("greet", { "http-req" }, function(txn)
    local name = txn.http:req_get_headers()["x-name"]
    txn:set_var("txn.visitor", name and name[0] or "stranger")
    txn.http:req_set_header("x-greeting", "hello, " .. txn:get_var("txn.visitor"))
end)

-- A fetch: a number made of the path.
core.register_fetches("path_hash", function(txn)
    local hash = 5381
    for _, byte in ipairs({ (txn.f:method() .. (txn:get_var("txn.visitor") or "")):byte(1, -1) }) do
        hash = (hash * 33 + byte) % 4294967296
    end
    return string.format("%08x", hash)
end)

-- A service: answers instead of a server.
core.register_service("hello", "http", function(applet)
    local body = "Hello from Lua, you asked for " .. applet.path .. "\n"
    applet:set_status(200)
    applet:add_header("content-type", "text/plain")
    applet:add_header("content-length", tostring(#body))
    applet:start_response()
    applet:send(body)
end)

-- A task: runs for as long as the proxy does.
core.register_task(function()
    while true do
        core.sleep(10)
        local up = 0
        for _, server in pairs(core.backends["origins"].servers) do
            if server:get_stats().status:sub(1, 2) == "UP" then
                up = up + 1
            end
        end
        core.log(core.notice, "lua: " .. up .. " of 3 origins are up")
    end
end)

-- Events: told of every server that goes up or down.
core.event_sub({ "SERVER_UP", "SERVER_DOWN" }, function(event, data, _, when)
    core.log(core.notice, string.format("lua: %s %s/%s at %d", event, data.proxy_name, data.name, when))
end)
