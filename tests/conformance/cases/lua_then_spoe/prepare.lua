-- Makes what the agent will be asked.
core.register_action("prepare", { "http-req" }, function(txn)
    core.msleep(1)
    txn:set_var("txn.question", "from lua: " .. txn.sf:path())
end)
