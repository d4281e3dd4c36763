-- The message that a filter gets: its head until it is forwarded, its payload in http_payload.

local Message = { flags = filter.FLT_CFG_FL_HTX }
Message.__index = Message

function Message:new()
    return setmetatable({}, Message)
end

local function fails(call, ...)
    return not pcall(call, ...)
end

local heads = {}

heads["/head"] = function(self, message)
    local line = message:get_stline()
    local headers = message:get_headers()
    message:set_header("x-line", line.method .. " " .. line.uri .. " " .. line.version)
    message:set_header("x-many", headers["x-many"][0] .. "," .. headers["x-many"][1])
    message:add_header("x-added", "one")
    message:add_header("x-added", "two")
    message:del_header("x-gone")
    message:rep_header("x-words", "(\\w+) (\\w+)", "\\2 \\1")
    message:rep_value("x-values", "^a", "b")
    message:set_method("PATCH")
    message:set_uri("/echo?first")
    message:set_query("second=1")
    message:add_header("x-refused", tostring(fails(message.set_status, message, 200)))
end

heads["/path"] = function(self, message)
    message:set_path("/echo")
    message:add_header("x-payload", tostring(fails(message.body, message)))
    message:add_header("x-channel", tostring(fails(message.channel.data, message.channel)))
    message:add_header("x-direction", tostring(message:is_resp()) .. tostring(message.channel:is_resp()))
    message:add_header("x-length", tostring(message:input() > 0) .. tostring(message:output()))
end

heads["/status/404"] = function(self, message)
    if message:is_resp() then
        local line = message:get_stline()
        message:set_header("x-line", line.version .. " " .. line.code)
        message:set_status(410, "Quite Gone")
        message:add_header("x-refused", tostring(fails(message.set_path, message, "/")))
    end
end

heads["/bytes/6"] = function(self, message)
    if message:is_resp() then
        message:del_header("content-length")
        filter.register_data_filter(self, message.channel)
    end
end

function Message:http_headers(txn, message)
    if not message:is_resp() then
        self.path = txn.sf:path()
    end
    local head = heads[self.path]
    if head and (message:is_resp() or self.path ~= "/status/404") then
        if not message:is_resp() or self.path:find("/[sb]") then
            head(self, message)
        end
    end
end

local function note(self, ...)
    local words = table.pack(...)
    for i = 1, words.n do
        words[i] = tostring(words[i])
    end
    self.notes = (self.notes and self.notes .. " " or "") .. table.concat(words, ",")
end

function Message:http_payload(txn, message)
    if self.notes or message:input() == 0 then
        return
    end
    note(self, message:body(), message:body(4), message:body(0, 2), message:body(-1), message:body(2, 100))
    note(self, fails(message.body, message, 100), fails(message.add_header, message, "a", "b"))
    note(self, message:prepend("ab"), message:append("yz"), message:insert("-", 2), message:insert("+", -2))
    note(self, message:set("AB", 0, 2), message:remove(-2), message:remove(3, 1), message:body())
    note(self, fails(message.insert, message, "x", 1000), fails(message.remove, message, 0, 1000))
    note(self, message:insert(("x"):rep(100000)), message:append(""), message:is_full())
    message:append(" " .. self.notes)
end

core.register_filter("message", Message, function(class) return class end)
