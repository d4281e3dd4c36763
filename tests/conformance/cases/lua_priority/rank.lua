-- Gives each request the place in the queue that it asks for, and numbers the responses.
core.register_action("rank", { "http-req" }, function(txn)
    local class, offset = txn.sf:req_fhdr("x-class"), txn.sf:req_fhdr("x-offset")
    if class ~= "" then
        txn:set_priority_class(tonumber(class))
    end
    if offset ~= "" then
        txn:set_priority_offset(tonumber(offset))
    end
    txn:set_var("txn.rank", txn.f:prio_class() .. "/" .. txn.f:prio_offset())
end)

local count = 0
core.register_action("count", { "http-res" }, function(txn)
    count = count + 1
    txn.http:res_set_header("x-order", count)
    txn.http:res_set_header("x-rank", txn:get_var("txn.rank"))
end)
