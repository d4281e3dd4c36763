-- Finds its module by the path that was added after the first script.
local module = require("module")

core.register_action("modular", { "http-req" }, function(txn)
    txn:set_var("txn.found", module.text)
end)
