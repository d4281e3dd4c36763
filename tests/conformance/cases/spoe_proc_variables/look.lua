-- Shows variables of the process that no rule mentions.
core.register_action("look", { "http-req" }, function(txn)
    local function show(name)
        return tostring(txn:get_var(name) or "")
    end
    txn:set_var(
        "txn.seen",
        "stranger=" .. show("proc.one.stranger") .. " known=" .. show("proc.one.known") .. " forced=" .. show("proc.two.forced")
    )
end)
