local Page = {}
Page.__index = Page

function Page:metric(name, kind)
    self[#self + 1] = ("# TYPE %s %s\n"):format(name, kind)
end

function Page:value(name, labels, value)
    if value == nil then return end
    local list = {}
    for _, label in ipairs(labels) do
        list[#list + 1] = ('%s="%s"'):format(label[1], label[2]:gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
    end
    local shown = #list > 0 and "{" .. table.concat(list, ",") .. "}" or ""
    self[#self + 1] = ("%s%s %s\n"):format(name, shown, value)
end

local COUNTERS = { sessions_total = "stot", bytes_in_total = "bin", bytes_out_total = "bout", http_requests_total = "req_tot" }

local function proxies(page, side, list)
    for suffix, column in pairs(COUNTERS) do
        local name = "proxy_" .. side .. "_" .. suffix
        page:metric(name, "counter")
        for proxy_name, proxy in pairs(list) do
            page:value(name, { { "proxy", proxy_name } }, proxy:get_stats()[column])
        end
    end
end

core.register_service("metrics", "http", function(applet)
    local page = setmetatable({}, Page)
    page:metric("process_uptime_seconds", "gauge")
    page:value("process_uptime_seconds", {}, core.get_info()["Uptime_sec"])
    proxies(page, "frontend", core.frontends)
    proxies(page, "backend", core.backends)
    page:metric("proxy_server_sessions_total", "counter")
    page:metric("proxy_server_up", "gauge")
    for proxy_name, proxy in pairs(core.backends) do
        for server_name, server in pairs(proxy.servers) do
            local labels = { { "proxy", proxy_name }, { "server", server_name } }
            local stats = server:get_stats()
            page:value("proxy_server_sessions_total", labels, stats["stot"])
            page:value("proxy_server_up", labels, stats["status"]:find("^UP") and 1 or stats["status"] == "no check" and 1 or 0)
        end
    end
    local text = table.concat(page)
    applet:set_status(200)
    applet:add_header("content-type", "text/plain; version=0.0.4")
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
