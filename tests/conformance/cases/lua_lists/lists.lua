-- The lists of proxies and servers, and what objects call themselves.
core.register_fetches("objects", function(txn)
    local be = core.backends.be
    local said = {
        tostring(be), tostring(be.servers.s1), tostring(core.frontends.be), tostring(core.backends.fe),
        tostring(core.proxies.nobody), (tostring(core.concat()):gsub("0x%x+", "ADDRESS")), tostring(core.tcp()),
        tostring(txn), tostring(txn.f), tostring(txn.sc), tostring(txn.req), tostring(txn.res), tostring(txn.http),
    }
    return table.concat(said, ", ")
end)

core.register_fetches("lists", function(txn)
    local servers = core.backends.be.servers
    core.proxies.mine = 1
    servers.mine = 1
    local proxies, names = {}, {}
    for name in pairs(core.proxies) do proxies[#proxies + 1] = name:sub(1, 1) ~= "." and name or nil end
    for name in pairs(servers) do names[#names + 1] = name end
    table.sort(proxies)
    table.sort(names)
    local said = {
        tostring(core.proxies), tostring(core.frontends), tostring(servers), tostring(core.proxies.mine),
        tostring(servers.mine), table.concat(proxies, "+"), table.concat(names, "+"),
    }
    return table.concat(said, ", ")
end)
