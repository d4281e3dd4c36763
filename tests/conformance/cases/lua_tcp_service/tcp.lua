-- A line protocol: adds up the numbers of each line until the client says bye.
core.register_service("calculator", "tcp", function(applet)
    applet:send("ready\n")
    while true do
        local line = applet:getline()
        if line == nil or line == "" or line:match("^bye") then
            applet:send("bye\n")
            return
        end
        local sum = 0
        for number in line:gmatch("%d+") do
            sum = sum + tonumber(number)
        end
        applet:send(string.format("%d\n", sum))
    end
end)
