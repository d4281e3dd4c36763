local S1, S2 = "http://" .. os.getenv("S1"), "http://" .. os.getenv("S2")

local function ask(method, request)
    local client = core.httpclient()
    return client[method](client, request)
end

local function first(response, name)
    return name .. "[0]=" .. tostring((response.headers[name] or {})[0])
end

local cases = {}

function cases.get()
    local response = ask("get", { url = S1 .. "/" })
    return table.concat({ response.status .. " " .. response.reason, first(response, "server-name"), response.body }, "|")
end

function cases.headers()
    local headers = { ["X-A"] = { "1", "2" }, ["Host"] = { "my.host" }, ["User-Agent"] = { "me" } }
    return ask("get", { url = S1 .. "/echo", headers = headers }).body
end

function cases.defaults() return ask("get", { url = S1 .. "/echo?q=1" }).body end
function cases.post() return ask("post", { url = S1 .. "/echo", body = "hello" }).body end
function cases.delete() return ask("delete", { url = S1 .. "/echo" }).body end
function cases.chunked() return ask("get", { url = S1 .. "/chunked" }).body end
function cases.unframed() return ask("get", { url = S1 .. "/unframed" }).body end
function cases.status() return ask("get", { url = S1 .. "/status/404" }).status end
function cases.dst() return ask("get", { url = "http://example.org/echo", dst = os.getenv("S1") }).body end

function cases.large()
    local sent = ("x"):rep(300000)
    local body = ask("put", { url = S1 .. "/echo", body = sent }).body
    return #body:match("x+$")
end

function cases.head()
    local response = ask("head", { url = S1 .. "/bytes/10" })
    return response.status .. " " .. first(response, "content-length") .. "|" .. response.body
end

function cases.many()
    local count = 0
    for _ = 1, 20 do
        if ask("get", { url = S2 .. "/" }).body == "s2" then count = count + 1 end
    end
    return count
end

-- A peer that never answers: a listener that nobody serves.
function cases.timeout()
    return ask("get", { url = S1 .. "/stall", timeout = 100 }).status
end

function cases.mistakes()
    local lines = {}
    for _, request in ipairs({
        {}, { url = S1, foo = 1 }, { url = S1, body = {} }, { url = S1, timeout = "x" }, { url = S1, headers = "x" },
    }) do
        local client = core.httpclient()
        lines[#lines + 1] = (select(2, pcall(client.get, client, request)):gsub("^.-: ", ""))
    end
    local client = core.httpclient()
    lines[#lines + 1] = (select(2, pcall(client.get, client)):gsub("^.-: ", ""))
    return table.concat(lines, "|") .. "|" .. tostring(client)
end

core.register_service("client", "http", function(applet)
    local text = tostring(cases[applet.path:sub(2)]())
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
