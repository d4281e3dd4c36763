-- Services that do not what a service should.
core.register_service("silent", "http", function(applet) end)

core.register_service("late", "http", function(applet)
    applet:start_response()
    applet:set_status(404)
end)

core.register_service("empty", "http", function(applet)
    applet:set_status(204)
    applet:start_response()
end)

core.register_service("unframed", "http", function(applet)
    applet:set_status(200)
    applet:start_response()
    applet:send("some ")
    applet:send("text")
end)
