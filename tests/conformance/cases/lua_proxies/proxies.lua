-- Walks over proxies and servers, and changes one.
local function answer(applet, text)
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end

local function keys(list)
    local names = {}
    for name in pairs(list) do
        if name ~= "GLOBAL" then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return table.concat(names, ",")
end

core.register_service("list", "http", function(applet)
    local be = core.backends["be"]
    local s2 = be.servers["s2"]
    answer(applet, table.concat({
        keys(core.frontends), keys(core.backends), keys(be.servers), be.name, be:get_mode(),
        s2.name, s2:get_weight(), s2:get_addr() == os.getenv("s2") and "addr" or "?",
        core.proxies["fe"]:get_cap(), be:get_cap(),
    }, " "))
end)

core.register_service("maintain", "http", function(applet)
    core.backends["be"].servers["s1"]:set_maint()
    answer(applet, "done")
end)

core.register_service("ready", "http", function(applet)
    core.backends["be"].servers["s1"]:set_ready()
    answer(applet, "done")
end)
