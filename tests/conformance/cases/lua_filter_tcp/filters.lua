-- Raw bytes: a filter that lets whole lines through only, and one that marks them.

local Lines = {}
Lines.__index = Lines

function Lines:new()
    return setmetatable({}, Lines)
end

function Lines:start_analyze(txn, channel)
    if not channel:is_resp() then
        filter.register_data_filter(self, channel)
    end
end

function Lines:tcp_payload(txn, channel)
    if channel:input() == 0 then
        return
    end
    local data = channel:data()
    local last = data:match(".*()\n")
    if last then
        return last
    end
    return channel:may_recv() and 0 or channel:input()
end

local Mark = {}
Mark.__index = Mark

function Mark:new()
    return setmetatable({ lines = 0 }, Mark)
end

function Mark:start_analyze(txn, channel)
    filter.register_data_filter(self, channel)
end

function Mark:tcp_payload(txn, channel)
    if channel:input() == 0 then
        return
    end
    if channel:is_resp() then
        channel:prepend("< ")
        return
    end
    local data = channel:data()
    for _ in data:gmatch("\n") do
        self.lines = self.lines + 1
    end
    channel:set(self.lines .. " " .. data:upper())
end

local Refuse = {}
Refuse.__index = Refuse

function Refuse:new()
    return setmetatable({}, Refuse)
end

function Refuse:start_analyze()
    return filter.ERROR
end

for name, class in pairs({ lines = Lines, mark = Mark, refuse = Refuse }) do
    core.register_filter(name, class, function(class) return class end)
end
