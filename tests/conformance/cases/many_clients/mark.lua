-- Carries something of the request through sleeps.
core.register_action("mark", { "http-req" }, function(txn)
    local mark = txn.sf:url_param("mark")
    core.msleep(math.random(0, 2))
    txn.http:req_set_header("x-mark", mark)
end)
