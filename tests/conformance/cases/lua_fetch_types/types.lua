-- Returns a value of the kind that is asked for.
core.register_fetches("value", function(txn, kind)
    if kind == "string" then return "text" end
    if kind == "integer" then return 41 end
    if kind == "boolean" then return true end
    if kind == "nil" then return nil end
    if kind == "two" then return "first", "second" end
    if kind == "float" then return 2.0 end
end)
