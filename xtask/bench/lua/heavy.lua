-- Ten thousand turns in each request.
core.register_action("turn", { "http-req" }, function(txn)
    local sum = 0
    for n = 1, 10000 do sum = sum + n end
    txn:set_var("txn.mark", tostring(sum))
end)
