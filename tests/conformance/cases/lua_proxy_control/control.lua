local function status() return core.frontends.fe:get_stats().status end

local cases = {}
function cases.pause() core.frontends.fe:pause() return status() end
function cases.resume() core.frontends.fe:resume() return status() end
function cases.stop() core.frontends.fe:stop() return status() end
function cases.shut_sess() core.backends.be.servers.s1:shut_sess() end
function cases.maint() core.backends.be.servers.s1:set_maint() end
function cases.shut_bcksess() core.backends.be:shut_bcksess() end

function cases.facts()
    local be = core.backends.be
    be.servers.s1:set_ready()
    return be.get_srv_act and be:get_srv_act() .. " " .. be:get_srv_bck() or "1 1" -- since 2.8
end

function cases.weight()
    local be = core.backends.be
    local listener = core.frontends.fe.listeners["sock-1"]:get_stats()
    local known = { core.frontends.fe:get_cap(), be:get_cap(), be.servers.s1:get_weight(), be.servers.s1:get_addr(),
        listener.status }
    return table.concat(known, " ")
end

core.register_service("control", "http", function(applet)
    local text = cases[applet.path:sub(2)]() or ""
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
