local FILE = os.getenv("FILE")

local function read(path)
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    return text
end

local function mistakes()
    local lines = {}
    for _, request in ipairs({
        { crt = "x" }, { filename = "nope.pem", crt = read(os.getenv("NEW")) }, { filename = FILE, foo = "x" },
        { filename = FILE, crt = "x" }, "x",
    }) do
        local _, why = pcall(CertCache.set, request)
        lines[#lines + 1] = tostring(why):gsub("^cache.lua:%d+: ", ""):gsub(" '/.*", "")
    end
    return table.concat(lines, "|")
end

core.register_service("cache", "http", function(applet)
    local text = "plain"
    if applet.path == "/set" then
        text = tostring((pcall(CertCache.set, { filename = FILE, crt = read(os.getenv("NEW")) })))
    elseif applet.path == "/mistakes" then
        text = mistakes()
    end
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
