-- Requests hand work to one task and wait for its answer.
local work = core.queue()

core.register_task(function()
    while true do
        local job = work:pop_wait()
        job.answers:push(job.text:upper() .. " " .. work:size())
    end
end)

core.register_action("ask", { "http-req" }, function(txn)
    local answers = core.queue()
    work:push({ text = txn.sf:path(), answers = answers })
    answers:alarm()
    core.wait(5000)
    txn:set_var("txn.answer", answers:pop() or "none")
end)
