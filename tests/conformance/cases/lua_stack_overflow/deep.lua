-- Calls itself until there is no more room.
core.register_action("raise", { "http-req" }, function(txn)
    local function deep() return 1 + deep() end
    if txn.sf:path() == "/deep" then
        deep()
    end
end)
