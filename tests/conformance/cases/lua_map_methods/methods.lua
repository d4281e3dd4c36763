-- Every method of Map.new by every name it has, each looking up the same keys.
local files = {
    _int = "numbers.map", int = "numbers.map", _ip = "nets.map", ip = "nets.map", _str = "text.map", str = "text.map",
    _beg = "text.map", beg = "text.map", _sub = "text.map", sub = "text.map", _dir = "text.map", dir = "text.map",
    _dom = "dots.map", dom = "dots.map", _end = "text.map", ["end"] = "text.map", _reg = "regexes.map",
    reg = "regexes.map",
}
local maps = {}
for method, file in pairs(files) do
    maps[method] = Map.new(file, Map[method])
end

core.register_fetches("look", function(txn)
    local method, key = txn.sf:req_fhdr("x-method"), txn.sf:req_fhdr("x-key")
    return tostring(maps[method]:lookup(key)) .. "|" .. maps[method]:slookup(key)
end)

core.register_init(function()
    local refused = {}
    for _, method in ipairs({ "_found", "found", "bool", "_bin", "bin", "_len", "len", "_regm", "regm" }) do
        local ok, message = pcall(Map.new, "text.map", Map[method])
        refused[#refused + 1] = method .. "=" .. Map[method] .. (ok and " taken" or "")
        if not ok and not message:find("doesn't support this match mode", 1, true) then
            refused[#refused] = message
        end
    end
    core.Info("refused: " .. table.concat(refused, " "))
end)
