-- A sample fetch with an argument: a number below 1000 from the host, the path and a salt.
core.register_fetches("my-hash", function(txn, salt)
    local text = txn.sf:req_fhdr("host") .. txn.sf:path() .. salt
    local sum = 0
    for i = 1, #text do
        sum = (sum * 31 + string.byte(text, i)) % 1000
    end
    return sum
end)
