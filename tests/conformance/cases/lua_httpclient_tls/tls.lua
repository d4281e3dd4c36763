local URL = "https://" .. os.getenv("TLS") .. "/"

core.register_service("tls", "http", function(applet)
    local text
    if applet.path == "/keep" then
        local count = 0
        for _ = 1, 20 do
            local response = core.httpclient():get({ url = URL })
            if response.status == 200 then count = count + 1 end
        end
        text = tostring(count)
    else
        local response = core.httpclient():get({ url = URL })
        text = response.status .. " " .. response.body
    end
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
