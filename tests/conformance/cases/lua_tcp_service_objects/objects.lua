-- A TCP service that answers a line a question about its applet.
core.register_action("before", { "tcp-req" }, function(txn)
    txn:set_priv({ "of the action" })
end)

local answers = {}
function answers.class(applet) return applet end
function answers.src(applet) return applet.f:src() .. " " .. applet.sf:src() end
function answers.nothing(applet) return tostring(applet.f:env("NO_SUCH_VARIABLE")) .. applet.sf:env("NO_SUCH_VARIABLE") end
function answers.convert(applet) return applet.c:upper("up") .. applet.sc:lower("DOWN") end
function answers.get(applet) return applet:get_var("txn.before") end
function answers.set(applet) return tostring(applet:set_var("txn.new", 5)) .. applet:get_var("txn.new") end
function answers.unset(applet) return tostring(applet:unset_var("txn.before")) .. tostring(applet:get_var("txn.before")) end
function answers.absent(applet) return applet:set_var("proc.never", 1, true) end
function answers.keep(applet) applet:set_priv({ "kept" }) return applet:get_priv()[1] end
function answers.kept(applet) return applet:get_priv()[1] end
function answers.four(applet) return applet:receive(4) end
function answers.now(applet)
    core.msleep(10)
    return tostring(applet:try_receive()) .. "|" .. tostring(applet:try_receive())
end
function answers.rest(applet) return "[" .. applet:receive() .. "]" end

core.register_service("objects", "tcp", function(applet)
    while true do
        local line = applet:getline()
        local answer = answers[line and line:match("^%w+") or ""]
        if not answer then
            return
        end
        applet:send(tostring(answer(applet)) .. "\n")
    end
end)
