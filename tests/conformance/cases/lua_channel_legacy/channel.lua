-- The calls of Channel that came before data, input and output.
core.register_action("look", { "tcp-req" }, function(txn)
    local said = {}
    local function say(value) said[#said + 1] = tostring(value) end
    say(txn.req:dup())
    say(txn.req:get_in_len())
    say(txn.req:get_out_len())
    say(txn.req:is_full())
    say(txn.res:is_full())
    say(txn.res:get_in_len())
    txn.req:send("sent")
    say(txn.req:get_out_len())
    say(txn.req:get_in_len())
    say(txn.req:get())
    say(txn.req:get_in_len())
    txn.req:set("[" .. table.concat(said, " ") .. "]")
end)
