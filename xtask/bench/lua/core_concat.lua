-- The same by core.concat.
report(function()
    local start = os.clock()
    for _ = 1, 1000 do
        local text = core.concat()
        for _ = 1, 1000 do text:add("0123456789") end
        text = text:dump()
    end
    return os.clock() - start
end)
