-- CPU seconds of one core.yield().
report(function()
    local count, start = 100000, os.clock()
    for _ = 1, count do core.yield() end
    return (os.clock() - start) / count
end)
