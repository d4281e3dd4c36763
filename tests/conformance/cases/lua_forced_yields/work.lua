-- Enough work to be interrupted in every kind of place: comparators, callbacks, iterators, metamethods,
-- protected calls, coroutines.
local function work()
    local numbers = {}
    for i = 1, 300 do
        numbers[i] = (i * 7919) % 1009
    end
    table.sort(numbers, function(a, b)
        local n = 0
        for i = 1, 5 do n = n + i end
        return a < b
    end)
    local ordered = true
    for i = 2, #numbers do
        ordered = ordered and numbers[i - 1] <= numbers[i]
    end
    local text = string.gsub(string.rep("ab", 200), "a", function(c)
        local n = 0
        for i = 1, 5 do n = n + i end
        return n == 15 and "x" or "?"
    end)
    local ok, sum = pcall(function()
        local s = 0
        for i = 1, 5000 do s = s + i end
        return s
    end)
    local caught, why = pcall(function()
        for i = 1, 1000 do end
        error("caught", 0)
    end)
    local object = setmetatable({}, { __index = function(_, key)
        local n = 0
        for i = 1, key do n = n + 1 end
        return n
    end })
    local steps = 0
    local routine = coroutine.wrap(function()
        for i = 1, 20 do
            for j = 1, 100 do end
            coroutine.yield(i)
        end
    end)
    for i = 1, 20 do
        steps = steps + routine()
    end
    return table.concat({ tostring(ordered), text == string.rep("xb", 200) and "gsub" or text, tostring(ok), sum,
        tostring(caught), why, object[1000], steps }, " ")
end

core.register_action("work", { "http-req" }, function(txn)
    txn:set_var("txn.result", work())
end)
