-- Turns a second of calls, tables and strings.
local function area(shape) return shape.width * shape.height end
report(function()
    local turns, total, start = 0, 0, os.clock()
    repeat
        for n = 1, 1000 do
            local shape = { width = n, height = 2, name = "n" .. n }
            total = total + area(shape) + #shape.name
            turns = turns + 1
        end
    until os.clock() - start > 0.4
    assert(total > 0)
    return turns / (os.clock() - start)
end)
