-- A service that waits a millisecond, and one that waits for ever.
core.register_service("nap", "http", function(applet)
    core.msleep(1)
    applet:set_status(200)
    applet:add_header("content-length", "4")
    applet:start_response()
    applet:send("done")
end)

core.register_action("park", { "http-req" }, function() core.sleep(3600) end)
