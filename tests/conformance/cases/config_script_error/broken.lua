-- Fails while it is loaded.
local function inner()
    error("broken on purpose")
end
inner()
