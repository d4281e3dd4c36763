-- Everything here fails when it is called.
core.register_action("fails", { "http-req" }, function(txn)
    error("an action failed on purpose")
end)

core.register_action("fails_oddly", { "http-req" }, function(txn)
    error({ no = "string" })
end)

core.register_fetches("fails", function(txn)
    error("a fetch failed on purpose")
end)

core.register_converters("fails", function(text)
    error("a converter failed on purpose")
end)

core.register_service("fails", "http", function(applet)
    error("a service failed on purpose")
end)
