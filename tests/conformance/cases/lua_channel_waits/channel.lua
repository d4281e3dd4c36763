-- Reads a small protocol from the channel: a line that says what to do, then what that needs.
core.register_action("request", { "tcp-req" }, function(txn)
    local channel = txn.req
    local line = channel:line(0, -1)
    channel:remove(0, #line)
    local word, amount = line:match("^(%a+) ?(%d*)\r?\n")
    amount = tonumber(amount)
    if word == "exactly" then
        local data = channel:data(0, amount)
        channel:set("[" .. data .. "]", 0, #data)
    elseif word == "behind" then
        local data = channel:data(4, amount)
        channel:set("(" .. data .. ")")
    elseif word == "lines" then
        local first, second = channel:getline(), channel:getline()
        channel:set(second .. first)
    elseif word == "all" then
        local data = channel:data(0, 1000)
        channel:set("<" .. data .. ">" .. tostring(channel:may_recv()))
    elseif word == "send" then
        channel:send("sent ")
        channel:send("twice ")
    elseif word == "wrong" then
        local ok, message = pcall(channel.set, channel, "x", 100)
        channel:set(message)
    end
end)
