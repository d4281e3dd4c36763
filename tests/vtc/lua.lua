-- Used by lua.vtc.
core.register_service("where", "http", function(applet)
    local text = applet.method .. " " .. applet.path
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)

core.register_fetches("twice", function(txn, text)
    return text .. text
end)

core.register_action("mark", { "http-req" }, function(txn)
    txn.http:req_set_header("x-mark", txn.sf:method())
end)
