-- Tokens are base64url: nothing else may name a file.
local FOLDER = "challenges"

core.register_service("acme", "http", function(applet)
    local token = applet.path:match("^/%.well%-known/acme%-challenge/([%w_-]+)$")
    local file = token and io.open(FOLDER .. "/" .. token, "rb")
    local text = "not found"
    if file then
        text = file:read("*a")
        file:close()
    end
    applet:set_status(file and 200 or 404)
    applet:add_header("content-type", "text/plain")
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
