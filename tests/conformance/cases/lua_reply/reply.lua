-- Replies made from a table, by methods, and by writing their fields; what they hold is looked at on the way.
local function tell(reply)
    return string.format("%s %s %s", reply.status, reply.reason, tostring(reply.body))
end

local made = {}

made["/empty"] = function(txn)
    local reply = txn:reply()
    reply:add_header("x-seen", tell(reply))
    return reply
end

made["/table"] = function(txn)
    local reply = txn:reply({
        status = 418, reason = "Teapot", body = "short and stout",
        headers = { ["x-one"] = { "1" }, ["x-two"] = { "a", "b" } },
    })
    reply:add_header("x-seen", tell(reply) .. " " .. reply.headers["x-two"][1] .. reply.headers["x-two"][2])
    return reply
end

made["/methods"] = function(txn)
    local reply = txn:reply({ headers = { ["x-gone"] = { "1" } } })
    local set = tostring(reply:set_status(404))
    local reason = reply.reason
    reply:set_status(503, "Back Soon")
    reply:add_header("x-two", "a")
    reply:add_header("x-two", "b")
    local gone = tostring(reply:del_header("x-gone")) .. tostring(reply:del_header("x-never"))
    reply:add_header("x-kept", "1")
    reply:del_header("X-KEPT")
    reply:set_body("later")
    reply:add_header("x-seen", table.concat({ set, reason, gone, tostring(reply.headers["x-gone"]), tell(reply) }, " "))
    return reply
end

made["/fields"] = function(txn)
    local reply = txn:reply()
    reply.status, reply.reason, reply.body = 202, "Taken", "fields"
    reply.headers["x-field"] = { "f" }
    return reply
end

made["/wrong"] = function(txn)
    local said = {}
    local function try(...)
        local ok, message = pcall(...)
        said[#said + 1] = ok and "fine" or message:match("%((.+)%)") or message:match("'.+$") or message
    end
    local reply = txn:reply()
    try(txn.reply, txn, { status = "x" })
    try(reply.set_status, reply)
    try(reply.add_header, reply, "a")
    try(reply.set_body, reply)
    return txn:reply({ body = table.concat(said, "; ") })
end

core.register_action("reply", { "http-req" }, function(txn)
    txn:done(made[txn.sf:path()](txn))
end)
