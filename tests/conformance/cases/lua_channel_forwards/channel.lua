-- Forwards so many bytes as the first line says, then looks at the rest.
core.register_action("request", { "tcp-req" }, function(txn)
    local channel = txn.req
    local line = channel:getline()
    local wanted = tonumber(line)
    local gone = channel:forward(wanted)
    channel:set("|" .. gone .. "|" .. channel:output() .. "|" .. tostring(channel:data()))
end)
