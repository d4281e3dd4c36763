-- An action that never ends by itself.
core.register_action("forever", { "http-req" }, function(txn)
    while true do end
end)
