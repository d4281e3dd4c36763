-- Looks at the first bytes of a connection and says what it thinks of them.
core.register_action("judge", { "tcp-req" }, function(txn)
    local first = txn.f:req_payload(0, 3)
    txn:set_var("txn.verdict", first == "bad" and "bad" or "good")
end)
