-- Looks at the first bytes of a connection and puts others in their place.
core.register_action("rewrite", { "tcp-req" }, function(txn)
    local seen = txn.req:data()
    if seen == "hello" then
        txn.req:set("HELLO, " .. txn.req:input() .. " bytes")
    end
end)
