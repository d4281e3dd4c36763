-- Raises what it is asked for.
core.register_action("raise", { "http-req" }, function(txn)
    local what = txn.sf:path()
    if what == "/nil" then
        error(nil)
    elseif what == "/table" then
        error({ reason = "a table" })
    elseif what == "/format" then
        error("per cent: %s %d %n %999999s", 0)
    elseif what == "/huge" then
        error(string.rep("huge", 50000), 0)
    elseif what == "/after" then
        core.msleep(1)
        error("raised after a sleep", 0)
    end
end)
