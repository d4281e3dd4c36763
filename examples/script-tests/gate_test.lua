-- `tidegate test examples/script-tests` runs this. No proxy, no sockets, no waiting: the script meets the real API on a
-- host in memory, whose clock the test moves.

local gate

before_each(function()
  gate = script.load("gate.lua", { env = { TOKENS = "127.0.0.1:7000" } })
  gate:proxy("database", { servers = { primary = "127.0.0.1:5432" } })
  gate:peer("127.0.0.1:7000", { "+alice\r\n" })
  gate:start()
end)

local function request(headers, method)
  return gate:txn({ method = method, path = "/items?page=2", headers = headers })
end

describe("the gate", function()
  it("lets a known token through and says who it is", function()
    local txn = request({ authorization = "Bearer abc", host = "api" })
    local result = gate:action("gate", txn, "items")
    assert.equal("continue", result.verdict)
    assert.header(txn, "x-user", "alice")
    assert.header(txn, "authorization", nil)
    assert.var(txn, "txn.user", "alice")
  end)

  it("asks for a token", function()
    local txn = request({})
    gate:action("gate", txn, "items")
    assert.reply(txn, {
      status = 401,
      body = '{"error":"a token is needed for items"}',
      headers = { ["content-type"] = "application/json" },
    })
  end)

  it("refuses a token that nobody knows", function()
    gate:peer("127.0.0.1:7000", { "-none\r\n" })
    local txn = request({ authorization = "Bearer nope" })
    gate:action("gate", txn, "items")
    assert.reply(txn, { status = 403 })
    assert.is_nil(txn:header("x-user"))
  end)

  it("says so when the token server is away", function()
    local away = script.load("gate.lua", { env = { TOKENS = "127.0.0.1:7001" } })
    local txn = away:txn({ headers = { authorization = "Bearer abc" } })
    away:action("gate", txn, "items")
    assert.reply(txn, { status = 503 })
    assert.logged(txn, "warning: gate: no answer")
  end)

  it("remembers a token for half a minute", function()
    gate:action("gate", request({ authorization = "Bearer abc" }), "items")
    gate:peer("127.0.0.1:7000", { "+bob\r\n" })
    gate:advance(29)
    local txn = request({ authorization = "Bearer abc" })
    gate:action("gate", txn, "items")
    assert.var(txn, "txn.user", "alice")
    gate:advance(2)
    txn = request({ authorization = "Bearer abc" })
    gate:action("gate", txn, "items")
    assert.var(txn, "txn.user", "bob")
  end)

  it("forgets old tokens every minute", function()
    gate:action("gate", request({ authorization = "Bearer abc" }), "items")
    assert.contains('"cached":1', gate:service("gate-status").body)
    gate:advance(61)
    assert.contains('"cached":0', gate:service("gate-status").body)
    assert.elapsed(gate, 61)
  end)
end)

describe("while the database is down", function()
  before_each(function()
    gate:event("SERVER_DOWN", "database/primary")
  end)

  it("writers are refused and readers are not", function()
    local writer = request({ authorization = "Bearer abc" }, "POST")
    gate:action("gate", writer, "items")
    assert.reply(writer, { status = 503, body = '{"error":"read only for now"}' })
    local reader = request({ authorization = "Bearer abc" })
    assert.equal("continue", gate:action("gate", reader, "items").verdict)
  end)

  it("opens again when it is back", function()
    gate:event("SERVER_UP", "database/primary")
    assert.logged(gate, "info: gate: open for writers")
    local writer = request({ authorization = "Bearer abc" }, "POST")
    gate:action("gate", writer, "items")
    assert.is_nil(writer:reply())
  end)
end)

describe("helpers", function()
  it("the tier follows the user", function()
    assert.equal("gold", gate:fetch("tier", gate:txn({ vars = { ["txn.user"] = "admin-1" } })))
    assert.equal("plain", gate:fetch("tier", gate:txn()))
  end)

  it("masking keeps two letters", function()
    assert.equal("al***", gate:converter("mask", "alice"))
  end)

  it("the status is JSON", function()
    local response = gate:service("gate-status", { path = "/status" })
    assert.equal(200, response.status)
    assert.header(response, "content-type", "application/json")
    assert.equal('{"cached":0,"writable":true}', response.body)
  end)
end)
