local function helper(text)
  error(text .. " on purpose")
end

core.register_action("waits", { "http-req" }, function(txn)
  core.yield()
  core.msleep(1)
end)
core.register_action("fails", { "http-req" }, function(txn, first, second)
  local nothing = helper(first .. second)
end, 2)
core.register_action("long", { "http-req" }, function(txn)
  local sum = 0
  for i = 1, 20000000 do
    sum = sum + i
  end
end)
core.register_task(function() end)
