-- The copy is sent by a task of its own: the request does not wait for it.
local SERVER = "http://" .. os.getenv("SHADOW")
local HOP = { connection = true, ["content-length"] = true, ["transfer-encoding"] = true }

local function send(method, request)
    local client = core.httpclient()
    client[method](client, request)
end

core.register_action("mirror", { "http-req" }, function(txn)
    local method = txn.sf:method():lower()
    if not ({ get = true, head = true, put = true, post = true, delete = true })[method] then return end
    local headers = { ["x-mirrored"] = { "1" } }
    for name, values in pairs(txn.http:req_get_headers()) do
        if not HOP[name] then
            headers[name] = {}
            for _, value in pairs(values) do table.insert(headers[name], value) end
        end
    end
    local body = txn.sf:req_body()
    local request = {
        url = SERVER .. txn.sf:url(),
        headers = headers,
        body = body ~= "" and body or nil,
        timeout = 1000,
    }
    core.register_task(function() send(method, request) end)
end)
