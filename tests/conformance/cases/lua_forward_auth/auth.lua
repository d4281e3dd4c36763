-- auth PATH HEADERS: asks the authentication server about the request. txn.auth_ok says whether it agrees, and
-- req.auth_NAME has each header of its answer that is listed.
local SERVER = "http://" .. os.getenv("AUTH")
local HOP = { host = true, connection = true, ["content-length"] = true, ["transfer-encoding"] = true }

core.register_action("auth", { "http-req" }, function(txn, path, names)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not HOP[name] then
            local list = {}
            for _, value in pairs(values) do list[#list + 1] = value end
            headers[name] = list
        end
    end
    headers["x-original-uri"] = { txn.sf:url() }
    headers["x-original-method"] = { txn.sf:method() }
    local response = core.httpclient():get({ url = SERVER .. path, headers = headers, timeout = 2000 })
    txn:set_var("txn.auth_status", tostring(response.status))
    txn:set_var("txn.auth_ok", response.status >= 200 and response.status < 300)
    for name in names:gmatch("[^,]+") do
        local values = response.headers[name]
        if values then txn:set_var("req.auth_" .. name:gsub("-", "_"), values[0]) end
    end
end, 2)
