-- A request by hand over core.tcp, closed and not, and beside a large heap.
local host, port = os.getenv("BENCH_ORIGIN"):match("^(.*):(%d+)$")

local function ask(close)
    local socket = core.tcp()
    assert(socket:connect(host, tonumber(port)))
    assert(socket:send("GET / HTTP/1.1\r\nhost: bench.example\r\n\r\n"))
    local status = assert(socket:receive("*l"))
    if close then socket:close() end
    return status:match(" (%d+)")
end

core.register_action("ask", { "http-req" }, function(txn) txn:set_var("txn.mark", ask(true)) end)

local heap = {}
if os.getenv("BENCH_HEAP") then
    for n = 1, 100000 do heap[n] = { n = n, name = "entry " .. n } end
end
core.register_action("leave", { "http-req" }, function(txn) txn:set_var("txn.mark", ask(false)) end)
