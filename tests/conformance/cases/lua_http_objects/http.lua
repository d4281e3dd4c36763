-- The HTTP object of a transaction, on the request and on the response.
core.register_action("request", { "http-req" }, function(txn)
    local headers = txn.http:req_get_headers()
    txn.http:req_set_header("x-count", tostring(headers["x-many"] and 1 + #headers["x-many"] or 0))
    txn.http:req_add_header("x-many", "added")
    txn.http:req_del_header("x-gone")
    txn:set_var("txn.host", txn.sf:req_fhdr("host"))
    if txn.sf:path() == "/rewrite" then
        txn.http:req_set_path("/echo")
        txn.http:req_set_query("by=lua")
        txn.http:req_set_method("PATCH")
    end
end)

core.register_action("response", { "http-res" }, function(txn)
    txn.http:res_set_header("x-host", txn:get_var("txn.host"))
    txn.http:res_del_header("server-name")
    if txn.f:status() == 404 then
        txn.http:res_set_status(410, "Gone For Good")
    end
end)
