-- Reads the stick tables of the configuration.
local function show(value)
    if type(value) ~= "table" then return tostring(value) end
    local list = {}
    for key, inner in pairs(value) do list[#list + 1] = key .. "=" .. show(inner) end
    table.sort(list)
    return "{" .. table.concat(list, " ") .. "}"
end

local function say(what, ...)
    local got = table.pack(...)
    for at = 1, got.n do got[at] = show(got[at]) end
    core.log(core.info, what .. ": " .. table.concat(got, ", "))
end

core.register_action("look", { "http-req" }, function(txn)
    local t = core.frontends["fe"].stktable
    local info = t:info()
    say("type", info.type, info.size, info.used, info.expire, info.nopurge, info.data)
    local entry = t:lookup("b")
    say("entry", entry.gpc0, entry.http_req_rate, entry.use, entry.expire > 3590000)
    say("absent", t:lookup("absent"))
    say("dump", t:dump())
    say("filtered", t:dump({ { "gpc0", "gt", 4 }, { "gpc0", "le", 5 } }))
    say("wrong", t:dump({ { "gpc1", "gt", 4 } }))
    say("wrong operator", t:dump({ { "gpc0", "above", 4 } }))
    say("none", core.backends["plain"].stktable)
    say("integer", core.backends["numbers"].stktable:lookup("7"))
    say("no integer", core.backends["numbers"].stktable:lookup("x"))
end)
