-- Turns a second of a loop that does nothing else.
report(function()
    local turns, start = 0, os.clock()
    repeat
        for _ = 1, 10000 do turns = turns + 1 end
    until os.clock() - start > 0.4
    return turns / (os.clock() - start)
end)
