local imf, rfc850, asctime = "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"

core.register_service("dates", "http", function(applet)
    local found = {}
    local function note(value) found[#found + 1] = tostring(value) end
    for _, text in ipairs({ imf, rfc850, asctime }) do note(core.http_date(text)) end
    note(core.imf_date(imf)) note(core.imf_date(rfc850)) note(core.imf_date(asctime))
    note(core.rfc850_date(imf)) note(core.rfc850_date(rfc850)) note(core.rfc850_date(asctime))
    note(core.asctime_date(imf)) note(core.asctime_date(rfc850)) note(core.asctime_date(asctime))
    note(core.http_date("Sun, 31 Feb 1994 08:49:37 GMT"))
    note(core.http_date("yesterday"))
    note((pcall(core.http_date, {})))
    local text = table.concat(found, " ")
    applet:set_status(200)
    applet:add_header("content-length", #text)
    applet:start_response()
    applet:send(text)
end)
