-- One request waits, asleep, for what another one does.
local opened = false

core.register_action("wait", { "http-req" }, function(txn)
    while not opened do
        core.msleep(5)
    end
end)

core.register_action("open", { "http-req" }, function(txn)
    opened = true
end)
