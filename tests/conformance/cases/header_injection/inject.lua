-- Tries to write more lines than it may.
core.register_action("inject", { "http-req" }, function(txn)
    local values = { "a\r\nx-evil: 1", "a\nx-evil: 1", "a\rx-evil: 1", "a\0x-evil: 1" }
    for i, value in ipairs(values) do
        pcall(txn.http.req_set_header, txn.http, "x-try" .. i, value)
        pcall(txn.http.req_add_header, txn.http, value, "name")
    end
    pcall(txn.http.req_set_query, txn.http, "a HTTP/1.1\r\nx-evil: 1")
    txn.http:req_set_header("x-plain", "kept")
end)
