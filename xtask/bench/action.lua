-- Reads a header, sets a variable, sets a header.
core.register_action("mark", { "http-req" }, function(txn)
    local value = txn.sf:req_fhdr("x-bench")
    txn:set_var("txn.mark", value)
    txn.http:req_set_header("x-lua", value .. "/" .. txn:get_var("txn.mark"))
end)
