-- A counter that lives as long as the process: this script has one state for all threads (lua-load).
local served = 0

core.register_action("count", { "http-req" }, function(txn)
    served = served + 1
    txn:set_var("txn.served", served)
end)

core.register_fetches("shout", function(txn, word)
    return word:upper() .. "!"
end)

core.register_service("hello", "http", function(applet)
    local body = string.format("hello %s, you are number %d\n", applet.path, applet:get_var("txn.served"))
    applet:set_status(200)
    applet:add_header("content-type", "text/plain")
    applet:add_header("content-length", tostring(#body))
    applet:start_response()
    applet:send(body)
end)
