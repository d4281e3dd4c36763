-- A filter that does what the request's path says.

local Judge = { flags = filter.FLT_CFG_FL_HTX }
Judge.__index = Judge

function Judge:new()
    return setmetatable({ waited = 0 }, Judge)
end

function Judge:start_analyze(txn, channel)
    self.wish = self.wish or txn.sf:path()
    if self.wish:find("payload") then
        filter.register_data_filter(self, channel)
    end
    if self.wish == "/start-error" then
        return filter.ERROR
    end
end

function Judge:http_headers(txn, message)
    if message:is_resp() then
        if self.wish == "/response-error" then
            return filter.ERROR
        end
        message:add_header("x-waited", self.waited)
        return
    end
    if self.wish == "/error" then
        return filter.ERROR
    elseif self.wish == "/raise" then
        error("raised in a filter")
    elseif self.wish == "/done" then
        txn:done()
    elseif self.wish == "/many" then
        return 7
    elseif self.wish == "/sleep" then
        core.msleep(10)
    elseif self.wish == "/wait" and self.waited < 3 then
        self.waited = self.waited + 1
        filter.wake_time(20)
        return filter.WAIT
    end
    return filter.CONTINUE
end

function Judge:http_payload(txn, message)
    if self.wish == "/payload-raise" and message:is_resp() then
        error("raised on payload")
    elseif self.wish == "/payload-slow" then
        filter.wake_time(5)
        return 1
    elseif self.wish == "/payload-more" then
        return 1000000
    elseif self.wish == "/payload-less" then
        return -1
    end
end

core.register_filter("judge", Judge, function(class) return class end)
