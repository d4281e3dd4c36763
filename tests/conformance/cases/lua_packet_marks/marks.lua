-- Marks the packets to the client, by the names that all versions have.
core.register_action("mark", { "http-req" }, function(txn)
    local tos, mark = txn.sf:req_fhdr("x-tos"), txn.sf:req_fhdr("x-mark")
    if tos ~= "" then
        txn:set_tos(tonumber(tos))
    end
    if mark ~= "" then
        txn:set_mark(tonumber(mark))
    end
    if txn.sf:req_fhdr("x-new") ~= "" then
        txn:set_fc_tos(0x30)
        txn:set_fc_mark(9)
    end
end)

core.register_action("mark_raw", { "tcp-req" }, function(txn)
    txn:set_tos(0x28)
end)
