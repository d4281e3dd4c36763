-- What test files see: describe, it, before_each, after_each, pending, assert, script, act.
-- `host` is what the program gives; each of its functions answers true and values, or false and a message.
local host = ...

-- ---- failures -------------------------------------------------------------------------------------------------------

local Failure = { __tostring = function(failure) return failure.message end }

--- Ends the test; `level` is where the blame lies, as for `error`.
local function fail(message, level)
  local place = host.where((level or 1) + 1)
  error(setmetatable({ message = (place and place .. ": " or "") .. message }, Failure), 0)
end

local function check(ok, ...)
  if ok then
    return ...
  end
  fail((...), 3)
end

-- ---- showing values -------------------------------------------------------------------------------------------------

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
      return a < b
    end
    return tostring(a) < tostring(b)
  end)
  return keys
end

local function show(value, indent, seen)
  if type(value) == "string" then
    if indent == nil and value:find("\n") then
      return value
    end
    return string.format("%q", value):gsub("\\\n", "\\n")
  end
  if type(value) ~= "table" or (getmetatable(value) or {}).__tostring then
    return tostring(value)
  end
  seen = seen or {}
  if seen[value] then
    return "(the same table)"
  end
  seen[value] = true
  indent = indent or ""
  local lines = {}
  for _, key in ipairs(sorted_keys(value)) do
    local name = type(key) == "string" and key:match("^[%a_][%w_]*$") and key or "[" .. tostring(key) .. "]"
    lines[#lines + 1] = indent .. "  " .. name .. " = " .. show(value[key], indent .. "  ", seen) .. ","
  end
  seen[value] = nil
  if #lines == 0 then
    return "{}"
  end
  return "{\n" .. table.concat(lines, "\n") .. "\n" .. indent .. "}"
end

local function difference(expected, got)
  local before, after = (show(expected)), (show(got))
  local diff = host.diff(before, after)
  if diff ~= "" then
    return "\n  - expected, + got:\n" .. diff:gsub("\n$", "")
  end
  return "\n  expected: " .. before .. "\n       got: " .. after
end

local function same(a, b, seen)
  if a == b then
    return true
  end
  if type(a) ~= "table" or type(b) ~= "table" then
    return false
  end
  seen = seen or {}
  if seen[a] == b then
    return true
  end
  seen[a] = b
  for key, value in pairs(a) do
    if not same(value, b[key], seen) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

local function near(words)
  return words and " (" .. tostring(words) .. ")" or ""
end

-- ---- assert ---------------------------------------------------------------------------------------------------------

local lua_assert = assert
local asserts = {}
assert = setmetatable(asserts, {
  __call = function(_, value, message, ...)
    if value then
      return value, message, ...
    end
    fail(message and tostring(message) or "assertion failed", 2)
  end,
  __index = function(_, name)
    error("there is no assert." .. tostring(name), 2)
  end,
})

function asserts.equal(expected, got, words)
  if expected ~= got then
    fail("values differ" .. near(words) .. difference(expected, got), 2)
  end
end

function asserts.same(expected, got, words)
  if not same(expected, got) then
    fail("values differ" .. near(words) .. difference(expected, got), 2)
  end
end

function asserts.not_equal(unwanted, got, words)
  if unwanted == got then
    fail("both are " .. show(got) .. near(words), 2)
  end
end

function asserts.is_true(got, words)
  if got ~= true then
    fail("not true" .. near(words) .. ": " .. show(got), 2)
  end
end

function asserts.is_false(got, words)
  if got ~= false then
    fail("not false" .. near(words) .. ": " .. show(got), 2)
  end
end

function asserts.is_nil(got, words)
  if got ~= nil then
    fail("not nil" .. near(words) .. ": " .. show(got), 2)
  end
end

function asserts.is_not_nil(got, words)
  if got == nil then
    fail("nil" .. near(words), 2)
  end
end

function asserts.matches(pattern, got, words)
  if type(got) ~= "string" or not got:find(pattern) then
    fail("no match" .. near(words) .. "\n   pattern: " .. pattern .. "\n       got: " .. show(got), 2)
  end
end

function asserts.contains(text, got, words)
  if type(got) ~= "string" or not got:find(text, 1, true) then
    fail("not contained" .. near(words) .. "\n  expected: " .. show(text) .. "\n       got: " .. show(got), 2)
  end
end

--- The function fails, with a message that matches.
function asserts.has_error(func, pattern)
  local ok, message = pcall(func)
  if ok then
    fail("it did not fail", 2)
  end
  message = tostring(message)
  if pattern and not message:find(pattern) then
    fail("it failed otherwise\n   pattern: " .. pattern .. "\n       got: " .. message, 2)
  end
end

--- A header has this value, or these in a table; nil: it is not there.
function asserts.header(stream, name, expected)
  local values = stream.headers
  if type(values) == "function" then
    values = values(stream)
  end
  local got = values[name:lower()]
  if type(expected) ~= "table" and got and #got == 1 then
    got = got[1]
  end
  if not same(expected, got) then
    fail("header " .. name .. " differs" .. difference(expected, got), 2)
  end
end

function asserts.response_header(txn, name, expected)
  local got = txn:response_headers()[name:lower()]
  if type(expected) ~= "table" and got and #got == 1 then
    got = got[1]
  end
  if not same(expected, got) then
    fail("response header " .. name .. " differs" .. difference(expected, got), 2)
  end
end

function asserts.var(txn, name, expected)
  local got = txn:var(name)
  if not same(expected, got) then
    fail("variable " .. name .. " differs" .. difference(expected, got), 2)
  end
end

--- `txn:done` was given a reply with these parts.
function asserts.reply(txn, expected)
  local got = txn:reply()
  if got == nil then
    fail("txn:done was not called", 2)
  end
  for key, value in pairs(expected) do
    local is = got[key]
    if key == "headers" then
      for name, wanted in pairs(value) do
        local list = (is or {})[name:lower()] or {}
        if not same(type(wanted) == "table" and wanted or { wanted }, list) then
          fail("the reply's header " .. name .. " differs" .. difference(wanted, list), 2)
        end
      end
    elseif not same(value, is) then
      fail("the reply's " .. key .. " differs" .. difference(value, is), 2)
    end
  end
end

--- A line of the log (of a script or of a txn) matches.
function asserts.logged(source, pattern)
  local lines = source:log()
  for _, line in ipairs(lines) do
    if line:find(pattern) then
      return
    end
  end
  fail("no such line in the log\n   pattern: " .. pattern .. "\n       log: " .. (#lines == 0 and "empty" or table.concat(lines, "\n            ")), 2)
end

function asserts.not_logged(source, pattern)
  for _, line in ipairs(source:log()) do
    if line:find(pattern) then
      fail("the log has such a line\n   pattern: " .. pattern .. "\n      line: " .. line, 2)
    end
  end
end

--- So many seconds have passed on the script's clock since it was loaded.
function asserts.elapsed(subject, seconds)
  local got = subject:elapsed()
  if math.abs(got - seconds) > 0.0005 then
    fail("time differs\n  expected: " .. seconds .. " s\n       got: " .. got .. " s", 2)
  end
end

-- ---- the script under test ------------------------------------------------------------------------------------------

local Txn, Script = {}, {}
Txn.__index, Script.__index = Txn, Script

for _, name in ipairs({ "method", "uri", "status", "headers", "response_headers", "var", "log", "sent", "input", "reply" }) do
  local read = host["txn_" .. name]
  Txn[name] = function(self, ...)
    local results = table.pack(pcall(read, self.handle, ...))
    return (check(table.unpack(results, 1, results.n)))
  end
end

local function only(values)
  if values and #values == 1 then
    return values[1]
  end
  return values
end

--- The value of a request header; a table of them where there are several; nil.
function Txn:header(name)
  return only(self:headers()[name:lower()])
end

function Txn:response_header(name)
  return only(self:response_headers()[name:lower()])
end

function Txn:set_var(name, value)
  check(pcall(host.txn_set_var, self.handle, name, value))
end

--- The same stream while its response rules run.
function Txn:respond(status, headers)
  check(pcall(host.txn_respond, self.handle, status, headers))
  return self
end

for _, name in ipairs({
  "service", "tcp_service", "start", "run_tasks", "advance", "elapsed", "log", "registered", "proxy", "commands", "event",
  "peer", "http", "requests", "map", "acl", "set_proc_var", "stub_fetch", "stub_converter", "eval",
}) do
  local operation = host[name]
  if operation then
    Script[name] = function(self, ...)
      return (check(operation(self.handle, ...)))
    end
  end
end

function Script:txn(description)
  return setmetatable({ handle = check(host.txn(self.handle, description)) }, Txn)
end

local function handle_of(txn)
  return type(txn) == "table" and txn.handle or txn
end

function Script:action(name, txn, ...)
  return (check(host.action(self.handle, name, handle_of(txn), ...)))
end

function Script:fetch(name, txn, ...)
  return (check(host.fetch(self.handle, name, handle_of(txn), ...)))
end

function Script:converter(name, input, ...)
  return (check(host.convert(self.handle, name, input, ...)))
end

script = {}

--- A fresh VM with the script loaded; options: args, env, path, maps.
function script.load(path, options)
  return setmetatable({ handle = check(host.load(path, options)) }, Script)
end

act = { CONTINUE = 0, STOP = 1, YIELD = 2, ERROR = 3, DONE = 4, DENY = 5, ABORT = 6, INVALID = 7 }

-- ---- describe and it ------------------------------------------------------------------------------------------------

local root = { name = nil, before = {}, after = {}, items = {} }
local current = root

function describe(name, body)
  local group = { name = tostring(name), parent = current, before = {}, after = {}, items = {} }
  table.insert(current.items, group)
  local outer = current
  current = group
  body()
  current = outer
end

function it(name, body)
  table.insert(current.items, { name = tostring(name), parent = current, body = body, is_test = true })
end

--- A test that is not run.
function pending(name)
  it(name, nil)
end

function before_each(body)
  table.insert(current.before, body)
end

function after_each(body)
  table.insert(current.after, body)
end

local function full_name(item)
  local outer = item.parent and item.parent.name and full_name(item.parent)
  return outer and outer .. " > " .. item.name or item.name
end

local function hooks(group, kind, list)
  if group.parent and kind == "before" then
    hooks(group.parent, kind, list)
  end
  for _, hook in ipairs(group[kind]) do
    table.insert(list, hook)
  end
  if group.parent and kind == "after" then
    hooks(group.parent, kind, list)
  end
  return list
end

local function explain(problem)
  if getmetatable(problem) == Failure then
    return problem
  end
  local trace = host.traceback(tostring(problem))
  local own = trace:find("\n%s*%[C%]: in function 'xpcall'")
  return setmetatable({ message = own and trace:sub(1, own - 1) or trace }, Failure)
end

local function attempt(body)
  local ok, problem = xpcall(body, explain)
  return not ok and tostring(problem) or nil
end

local function run_test(test)
  local problem = nil
  for _, hook in ipairs(hooks(test.parent, "before", {})) do
    problem = problem or attempt(hook)
  end
  problem = problem or attempt(test.body)
  for _, hook in ipairs(hooks(test.parent, "after", {})) do
    problem = attempt(hook) or problem
  end
  return problem
end

local function run_group(group, filter, results)
  for _, item in ipairs(group.items) do
    if not item.is_test then
      run_group(item, filter, results)
    elseif not filter or full_name(item):find(filter, 1, true) then
      local result = { name = full_name(item), seconds = 0 }
      if item.body then
        local begin = host.seconds()
        result.message = run_test(item)
        result.seconds = host.seconds() - begin
        result.status = result.message and "failed" or "passed"
      else
        result.status = "skipped"
      end
      table.insert(results, result)
    end
  end
end

local runner = {}

--- Runs a chunk of tests, then the tests; gives the results, and what failed outside of them.
function runner.run(chunk, filter)
  local problem = attempt(chunk)
  local results = {}
  if not problem then
    run_group(root, filter, results)
  end
  return results, problem
end

lua_assert(runner.run)
return runner
