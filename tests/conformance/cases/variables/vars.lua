-- Reads what rules have set and sets what rules will read.
core.register_action("touch", { "http-req" }, function(txn)
    local n = txn:get_var("txn.n")
    txn:set_var("txn.lua", n and n + 1 or "no number")
end)
