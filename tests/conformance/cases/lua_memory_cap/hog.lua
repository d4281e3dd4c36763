-- One action wants more memory than there may be; the other one wants a little.
core.register_action("hog", { "http-req" }, function(txn)
    local kept = {}
    while true do
        kept[#kept + 1] = string.rep("x", 100000) .. #kept
    end
end)

core.register_action("modest", { "http-req" }, function(txn)
    txn:set_var("txn.modest", table.concat({ "still", "here" }, " "))
end)
