-- A gate before an API: requests need a token, tokens are looked up at a Redis-like server, answers are kept for a
-- while, and the gate closes for writers while the database's server is down.

local json = require("json")

local CACHE_SECONDS = 30
local lookup_address = os.getenv("TOKENS") or "127.0.0.1:6379"
local cache = {}
local writable = true

--- The user of a token, or nil.
local function look_up(token)
  local known = cache[token]
  local now = core.now().sec
  if known and known.until_sec > now then
    return known.user
  end
  local socket = core.tcp()
  socket:settimeout(2)
  if not socket:connect(lookup_address) then
    return nil, "no answer from the token server"
  end
  socket:send("GET token:" .. token .. "\r\n")
  local line = socket:receive("*l")
  socket:close()
  if not line or line:sub(1, 1) ~= "+" then
    return nil
  end
  local user = line:sub(2)
  cache[token] = { user = user, until_sec = now + CACHE_SECONDS }
  return user
end

local function refuse(txn, status, why)
  local reply = txn:reply({ status = status })
  reply:add_header("content-type", "application/json")
  reply:set_body(json.encode({ error = why }))
  txn:done(reply)
end

core.register_action("gate", { "http-req" }, function(txn, realm)
  local token = txn.sf:req_hdr("authorization"):match("^Bearer (%w+)$")
  if not token then
    refuse(txn, 401, "a token is needed for " .. realm)
  end
  if not writable and txn.sf:method() ~= "GET" then
    refuse(txn, 503, "read only for now")
  end
  local user, why = look_up(token)
  if why then
    txn:Warning("gate: " .. why)
    refuse(txn, 503, why)
  end
  if not user then
    refuse(txn, 403, "unknown token")
  end
  txn:set_var("txn.user", user)
  txn.http:req_del_header("authorization")
  txn.http:req_set_header("x-user", user)
end, 1)

core.register_fetches("tier", function(txn)
  local user = txn:get_var("txn.user")
  return user and user:match("^admin") and "gold" or "plain"
end)

core.register_converters("mask", function(text)
  return text:sub(1, 2) .. string.rep("*", #text - 2)
end)

core.register_service("gate-status", "http", function(applet)
  local known = 0
  for _ in pairs(cache) do
    known = known + 1
  end
  local body = json.encode({ writable = writable, cached = known })
  applet:set_status(200)
  applet:add_header("content-type", "application/json")
  applet:add_header("content-length", #body)
  applet:start_response()
  applet:send(body)
end)

core.event_sub({ "SERVER_DOWN", "SERVER_UP" }, function(event, data)
  if data.proxy_name == "database" then
    writable = event == "SERVER_UP"
    core.Info("gate: " .. (writable and "open" or "closed") .. " for writers")
  end
end)

core.register_task(function()
  while true do
    core.sleep(60)
    local now = core.now().sec
    for token, known in pairs(cache) do
      if known.until_sec <= now then
        cache[token] = nil
      end
    end
  end
end)
