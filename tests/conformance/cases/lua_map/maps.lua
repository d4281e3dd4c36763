-- Maps that a script opens, shares with the configuration, and changes by the legacy calls.
local names = Map.new("names.map")
local nets = Map.new("nets.map", Map._ip)

local function try(what, call, ...)
    local ok, message = pcall(call, ...)
    core.log(core.info, what .. ": " .. tostring(ok and "fine" or message))
end

core.register_fetches("look", function(txn)
    local key = txn.sf:req_fhdr("x-key")
    return names:lookup(key) or nets:lookup(key) or ("[" .. nets:slookup(key) .. "]")
end)

core.register_action("change", { "http-req" }, function(txn)
    core.set_map("names.map", "a", "changed")
    core.del_map("names.map", "b")
    core.del_map("names.map", "absent")
    core.add_acl("blocked.acl", "a")
    core.add_acl("blocked.acl", "a")
    core.del_acl("blocked.acl", "bad")
    try("unknown map", core.set_map, "nosuch", "a", "b")
    try("unknown acl", core.add_acl, "nosuch", "a")
    try("few", core.set_map, "names.map", "a")
    try("late", Map.new, "names.map")
    try("integer", function() return names:lookup() end)
end)

core.register_init(function()
    try("missing", Map.new, "missing.map")
    try("mode", Map.new, "names.map", Map._bool)
    try("file", Map.new, "names.map", Map._ip)
    try("opened", Map.new, "names.map", Map._beg)
end)
