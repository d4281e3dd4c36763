-- Notes each callback in a variable that the log line shows.

local Order = { flags = filter.FLT_CFG_FL_HTX }
Order.__index = Order

function Order:new()
    return setmetatable({ name = self.name }, Order)
end

local function note(self, txn, what)
    txn:set_var("txn.order", (txn:get_var("txn.order") or "") .. " " .. self.name .. "." .. what)
end

function Order:start_analyze(txn, channel)
    note(self, txn, channel:is_resp() and "start-res" or "start-req")
    if channel:is_resp() then
        filter.register_data_filter(self, channel)
    end
end

function Order:http_headers(txn, message)
    note(self, txn, message:is_resp() and "headers-res" or "headers-req")
end

function Order:http_payload(txn, message)
    if message:input() > 0 and not self.seen then
        self.seen = true
        note(self, txn, "payload-res")
    end
end

function Order:http_end(txn, message)
    note(self, txn, message:is_resp() and "end-res" or "end-req")
end

function Order:end_analyze(txn, channel)
    note(self, txn, channel:is_resp() and "over-res" or "over-req")
end

core.register_filter("order", Order, function(class, args)
    class.name = args[1]
    return class
end)

-- Without the flag it is not put on HTTP streams.
core.register_filter("tcp_only", { new = function() error("not here") end }, function(class) return class end)

-- What is no table is no filter.
core.register_filter("unwilling", {
    flags = filter.FLT_CFG_FL_HTX,
    new = function() return nil end,
    http_headers = function() error("not here") end,
}, function(class) return class end)
