-- cors METHODS SUFFIX in requests, cors in responses.
local function allowed(origin, suffix)
    local host = origin:match("^https?://([^/:]+)")
    return host ~= nil and host:sub(-#suffix) == suffix
end

local function preflight(txn, origin, methods)
    local reply = txn:reply()
    reply:set_status(204, "No Content")
    reply:add_header("access-control-allow-origin", origin)
    reply:add_header("access-control-allow-methods", methods)
    reply:add_header("access-control-max-age", "600")
    reply:add_header("vary", "Origin")
    txn:done(reply)
end

core.register_action("cors_request", { "http-req" }, function(txn, methods, suffix)
    local headers = txn.http:req_get_headers()
    local origin = headers["origin"] and headers["origin"][0]
    if not origin or not allowed(origin, suffix) then return end
    txn:set_var("txn.cors_origin", origin)
    if txn.sf:method() == "OPTIONS" and headers["access-control-request-method"] then
        preflight(txn, origin, methods)
    end
end, 2)

core.register_action("cors_response", { "http-res" }, function(txn)
    local origin = txn:get_var("txn.cors_origin")
    if not origin then return end
    txn.http:res_set_header("access-control-allow-origin", origin)
    txn.http:res_add_header("vary", "Origin")
end)
