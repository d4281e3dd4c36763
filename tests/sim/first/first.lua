-- Sleeps when a request asks for it; tells of every server event it hears.
core.register_action("nap", { "http-req" }, function(txn)
    local id = txn.f:url_param("id")
    core.msleep(tonumber(txn.f:url_param("nap")))
    txn.http:req_set_header("X-Nap", id)
end)

core.event_sub({ "SERVER_UP", "SERVER_DOWN", "SERVER_STATE", "SERVER_CHECK" }, function(event, data)
    local more = ""
    if data.state then
        more = " " .. data.state.old_state .. ">" .. data.state.new_state
    end
    core.log(core.info, "heard " .. event .. " " .. data.proxy_name .. "/" .. data.name .. more)
end)
