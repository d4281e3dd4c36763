-- Answers as the last word of the path says: by a code, by what is no code, by nothing.
local answers = { TEXT = "no number", TABLE = { act.DENY }, FRACTION = 5.9 }

core.register_action("answer", { "http-req", "http-res" }, function(txn)
    local name = (txn:get_var("txn.res") or txn.sf:path()):match("%w+$")
    if name == "NOTHING" then
        return
    end
    return act[name] or answers[name]
end)

core.register_init(function()
    local codes = {}
    for _, name in ipairs({ "CONTINUE", "STOP", "YIELD", "ERROR", "DONE", "DENY", "ABORT", "INVALID" }) do
        codes[#codes + 1] = name .. "=" .. act[name]
    end
    core.Info("codes: " .. table.concat(codes, " "))
end)
