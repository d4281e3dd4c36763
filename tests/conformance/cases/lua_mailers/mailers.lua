-- Mail about servers that go down and come back, as the proxy's `email-alert` lines ask for.
core.use_native_mailers_config()

local jobs = core.queue()

local function expect(socket, code)
    repeat
        local line = socket:receive("*l")
        if not line or line:sub(1, 3) ~= code then error("the mail server said " .. tostring(line)) end
        local more = line:sub(4, 4) == "-"
    until not more
end

local function say(socket, text, code)
    socket:send(text .. "\r\n")
    expect(socket, code)
end

local function send(mail, server)
    local host, port = server:match("^(.*):(%d+)$")
    local socket = core.tcp()
    socket:settimeout(mail.timeout / 1000)
    assert(socket:connect(host, tonumber(port)))
    expect(socket, "220")
    say(socket, "EHLO " .. mail.hostname, "250")
    say(socket, "MAIL FROM:<" .. mail.from .. ">", "250")
    say(socket, "RCPT TO:<" .. mail.to .. ">", "250")
    say(socket, "DATA", "354")
    socket:send("From: " .. mail.from .. "\r\nTo: " .. mail.to .. "\r\nSubject: " .. mail.subject .. "\r\n\r\n")
    say(socket, mail.subject .. "\r\n.", "250")
    say(socket, "QUIT", "221")
    socket:close()
end

core.register_task(function()
    while true do
        local mail = jobs:pop_wait()
        for name, server in pairs(mail.servers) do
            local sent, why = pcall(send, mail, server)
            if not sent then core.Warning("mail to " .. name .. ": " .. tostring(why)) end
        end
    end
end)

core.event_sub({ "SERVER_UP", "SERVER_DOWN" }, function(event, data)
    local mailers = core.backends[data.proxy_name]:get_mailers()
    local level = event == "SERVER_DOWN" and core.alert or core.notice
    if not mailers or level > mailers.log_level then return end
    jobs:push({
        subject = ("[tidegate] Server %s/%s is %s"):format(data.proxy_name, data.name, event:sub(8)),
        servers = mailers.mailservers,
        timeout = mailers.mailservers_timeout,
        hostname = mailers.smtp_hostname,
        from = mailers.smtp_from,
        to = mailers.smtp_to,
    })
end)

-- What the script was given.
core.register_service("mailers", "http", function(applet)
    local m = core.backends.be:get_mailers()
    local count = 0
    for _ in pairs(m.mailservers) do count = count + 1 end
    local fields = {
        tostring(m.track_server_health), m.log_level, m.mailservers_timeout, m.smtp_hostname, m.smtp_from, m.smtp_to,
        count,
    }
    local none = select("#", core.frontends.fe:get_mailers()) == 0 and "nothing" or "something"
    local text = table.concat(fields, " ") .. "|" .. none
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
