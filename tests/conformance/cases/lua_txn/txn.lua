-- What a transaction offers: variables and their types, fetches, converters, private data, the log.
core.register_action("look", { "http-req" }, function(txn, first, second)
    local seen = {
        math.type(txn:get_var("txn.number")), txn:get_var("txn.number"), txn:get_var("txn.text"),
        tostring(txn:get_var("txn.nothing")), txn.f:method(), txn.sf:path(), txn.c:upper("shout"),
        txn.sc:lower("WHISPER"), txn.sf:req_fhdr("x-missing"), tostring(txn.f:req_fhdr("x-missing")),
        first, second,
    }
    txn:set_priv({ seen = seen })
    txn:Info("looked at " .. txn.sf:path())
    txn:log(core.warning, "with a level")
end, 2)

core.register_action("again", { "http-req" }, function(txn)
    local seen = txn:get_priv().seen
    txn:unset_var("txn.text")
    seen[#seen + 1] = tostring(txn:get_var("txn.text"))
    txn:set_var("txn.seen", table.concat(seen, ","))
end)
