-- A fetch that reads a header, a converter that wraps what it is given.
core.register_fetches("asked", function(txn)
    return txn.sf:req_fhdr("x-bench")
end)

core.register_converters("bracket", function(text)
    return "[" .. text .. "]"
end)
