-- One state for all threads: this counter counts every request.
local count = 0

core.register_action("count_shared", { "http-req" }, function(txn)
    count = count + 1
    txn:set_var("txn.shared", count)
end)
