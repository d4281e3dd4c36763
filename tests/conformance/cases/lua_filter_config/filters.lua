core.register_filter("broken", {}, function(class, args)
    error("broken with " .. args[1] .. " and " .. args[2])
end)
