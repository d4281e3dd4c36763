-- The level of a request's log line, by its path.
local levels = { ["/silent"] = core.silent, ["/err"] = core.err }

core.register_action("level", { "http-req" }, function(txn)
    local level = levels[txn.sf:path()]
    if level then
        txn:set_loglevel(level)
    end
end)
