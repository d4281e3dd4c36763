-- Loaded before any setting: the timeout that comes later must end this.
core.register_action("endless", { "http-req" }, function()
    while true do
    end
end)
