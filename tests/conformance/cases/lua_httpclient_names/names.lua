local PORT = os.getenv("PORT")

local cases = {
    named = { url = "http://localhost:" .. PORT .. "/" },
    nowhere = { url = "http://nosuch.invalid/" },
    scheme = { url = "gopher://localhost/" },
    line_break = { url = "http://localhost:" .. PORT .. "/", headers = { ["x-a"] = { "b\r\nc: d" } } },
}

core.register_service("names", "http", function(applet)
    local client = core.httpclient()
    local ok, response
    if applet.path == "/again" then
        client:get(cases.named)
        ok, response = pcall(client.get, client, cases.named)
    else
        ok, response = pcall(client.get, client, cases[applet.path:sub(2)])
    end
    local text = ok and response.status .. " " .. response.body or tostring(ok) .. " " .. tostring(response)
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
