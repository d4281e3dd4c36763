-- Reads and changes the references of the configuration, and hears of changes.
local function all(ref)
    local list = {}
    for key, value in pairs(ref) do list[#list + 1] = key .. "=" .. tostring(value) end
    return table.concat(list, " ")
end

core.register_init(function()
    local map = core.get_patref("missing.map")
    core.log(core.info, "init " .. map:get_name() .. " " .. tostring(map:is_map()))
    local count = 0
    map:event_sub({ "PAT_REF" }, function(event)
        count = count + 1
        core.log(core.info, "event " .. count .. ": " .. event)
    end)
end)

core.register_action("go", { "http-req" }, function(txn)
    local map, acl = core.get_patref("opt@missing.map"), core.get_patref("virt@blocked")
    map:add("a", "1")
    map:add("a", "2")
    map:set("a", "3")
    core.log(core.info, "set " .. tostring(map:set("b", "1")) .. " " .. tostring(map:set("b", "1", true)))
    core.log(core.info, "live " .. all(map) .. " a is " .. map.a)
    map:prepare()
    local bulk = {}
    for at = 1, 300 do bulk["k" .. at] = "v" .. at end
    core.log(core.info, "bulk " .. tostring(map:add_bulk(bulk)))
    core.log(core.info, "still " .. all(map))
    core.log(core.info, "commit " .. tostring(map:commit()) .. " " .. tostring(map.a) .. " " .. map.k300)
    core.log(core.info, "again " .. select(2, map:commit()))
    core.log(core.info, "del " .. tostring(map:del("k1")) .. " " .. tostring(map:del("k1")))
    acl:add_bulk({ "x", "y" })
    core.log(core.info, "acl " .. all(acl) .. " " .. tostring(acl.x) .. " " .. tostring(acl.z))
    core.set_map("missing.map", "made", "by name")
    core.log(core.info, "made " .. map.made)
    core.log(core.info, "unknown " .. tostring(pcall(core.get_patref, "nosuch")))
end)
