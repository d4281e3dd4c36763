-- Two filters in a chain: one in the backend changes bytes in place, one in the frontend adds some.

local Upper = { flags = filter.FLT_CFG_FL_HTX }
Upper.__index = Upper

function Upper:new()
    return setmetatable({}, Upper)
end

function Upper:http_headers(txn, message)
    if not message:is_resp() then
        self.path = txn.sf:path()
    elseif self.path ~= "/echo" then
        filter.register_data_filter(self, message.channel)
    end
end

function Upper:http_payload(txn, message)
    if message:input() > 0 then
        message:set(message:body():upper())
    end
end

local Wrap = { id = "wrap", flags = filter.FLT_CFG_FL_HTX }
Wrap.__index = Wrap

function Wrap:new()
    return setmetatable({ open = self.open, close = self.close }, Wrap)
end

function Wrap:http_headers(txn, message)
    if not message:is_resp() and message:get_stline().method ~= "POST" then
        return filter.CONTINUE
    end
    message:del_header("content-length")
    filter.register_data_filter(self, message.channel)
    return filter.CONTINUE
end

function Wrap:http_payload(txn, message)
    local side = message:is_resp() and "response" or "request"
    if not self[side] then
        self[side] = true
        message:prepend(self.open)
    end
    if message:eom() then
        message:append(self.close)
    end
end

core.register_filter("upper", Upper, function(class, args) return class end)
core.register_filter("wrap", Wrap, function(class, args)
    class.open, class.close = args[1], args[2]
    return class
end)
