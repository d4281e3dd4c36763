-- Actions that are run again from their start.
core.register_action("poll", { "http-req" }, function(txn)
    local runs = (txn:get_var("txn.runs") or 0) + 1
    txn:set_var("txn.runs", runs)
    if runs < 4 then
        act.wake_time(10)
        return act.YIELD
    end
end)

core.register_action("wait", { "tcp-req" }, function(txn)
    if not txn.f:req_payload(0, 5) then
        return act.YIELD
    end
    txn.req:prepend("whole: ")
end)
