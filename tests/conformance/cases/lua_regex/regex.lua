-- Compiled once, used by every request.
local ok, version = Regex.new("^/v(\\d+)/([a-z]+)", false)
assert(ok)
local bad, why = Regex.new("(", true)
assert(bad == false and why:find("^regex '%(' is invalid"))

core.register_action("match", { "http-req" }, function(txn)
    local path = txn.sf:path()
    local found, parts = version:match(path)
    local said = tostring(version:exec(path)) .. " " .. tostring(found)
    if found then
        said = said .. " " .. parts[1] .. " " .. parts[2] .. " " .. parts[3]
    end
    txn:set_var("txn.said", said)
end)
