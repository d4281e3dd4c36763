-- A request by core.httpclient.
local url = "http://" .. os.getenv("BENCH_ORIGIN") .. "/"
core.register_action("fetch", { "http-req" }, function(txn)
    local answer = core.httpclient():get({ url = url })
    txn:set_var("txn.mark", tostring(answer.status))
end)
