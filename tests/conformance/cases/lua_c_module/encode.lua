-- A module written in C finds the Lua library in the proxy that loads it.
local version = _VERSION:match("%d+%.%d+")
package.cpath = "/usr/lib/x86_64-linux-gnu/lua/" .. version .. "/?.so;" .. package.cpath
local cjson = require "cjson"

core.register_service("encode", "http", function(applet)
    local text = cjson.encode({ path = applet.path })
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
