-- Regular expressions over header lines, whole and value by value, on requests and responses; the whole URI.
local function try(call, ...)
    local ok, message = pcall(call, ...)
    return ok and "fine" or tostring(message):match("bad argument #%d") or tostring(message):match("'.+$") or "an error"
end

core.register_action("request", { "http-req" }, function(txn)
    local http = txn.http
    http:req_rep_header("x-line", "(a+), *(b+)", "\\2 then \\1")
    http:req_rep_value("x-values", "^b(.*)$", "B\\1!")
    http:req_rep_header("x-none", "a", "b")
    http:req_set_header("x-tried", try(http.req_rep_header, http, "x-line", "(", "b"))
    http:req_set_header("x-few", try(http.req_rep_header, http, "x-line", "a"))
    http:req_set_header("x-response", try(http.res_get_headers, http))
    http:req_set_header("x-set", tostring(http:req_set_uri("/echo?whole=uri")))
end)

core.register_action("response", { "http-res" }, function(txn)
    local http = txn.http
    http:res_set_header("x-line", "one two")
    http:res_rep_header("x-line", "^(\\w+) (\\w+)$", "\\2 \\1 \\0")
    http:res_set_header("x-values", "a=1, b=2,a=3")
    http:res_rep_value("x-values", "^a=(.)$", "A\\1")
    local names, headers = {}, http:res_get_headers()
    for name, values in pairs(headers) do
        if name:match("^x%-") then
            names[#names + 1] = name .. "=" .. values[0] .. ":" .. #values
        end
    end
    table.sort(names)
    http:res_set_header("x-names", table.concat(names, " "))
end)
