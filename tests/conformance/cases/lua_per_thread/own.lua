-- One state a thread: its counter never gets as far as a shared one would.
local count = 0
local thread = core.thread

core.register_action("count_own", { "http-req" }, function(txn)
    count = count + 1
    local own = core.thread == thread and thread >= 1 and thread <= 2 and count <= 12
    txn:set_var("txn.own", own and "own" or "shared")
end)
