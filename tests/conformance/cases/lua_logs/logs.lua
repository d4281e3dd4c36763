-- Every way to say something in the log, of the process and of a stream.
local function try(call, ...)
    local ok, message = pcall(call, ...)
    return ok and "fine" or message:match("'%w+' needs %d+ arguments") or message:match("%(.+%)") or message
end

core.register_action("say", { "http-req" }, function(txn)
    core.Debug("core says debug")
    core.Info("core says info")
    core.Warning("core says warning")
    core.Alert("core says alert")
    for _, level in ipairs({ "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" }) do
        core.log(core[level], "core logs " .. level)
    end
    core.Warning("up to here\0and no further")
    core.Alert(42.5)
    local said = {
        try(core.Debug), try(core.Info, "a", "b"), try(core.Warning, nil), try(core.Alert, {}),
        try(core.log, 8, "x"), try(core.log, -1, "x"),
    }
    txn:set_var("txn.said", table.concat(said, "; "))
end)

core.register_action("stream", { "http-req" }, function(txn)
    txn:Debug("txn says debug")
    txn:Info("txn says info")
    txn:Warning("txn says warning")
    txn:Alert("txn says alert")
    txn:log(core.crit, "txn logs crit")
    txn:log(core.emerg, "txn logs emerg")
    txn:deflog("by default")
    txn:set_loglevel(3)
    txn:deflog("by default from now on")
    txn:set_var("txn.said", txn:get_var("txn.said") .. "; " .. try(txn.log, txn, 3) .. "; " .. try(txn.deflog, txn))
end)
