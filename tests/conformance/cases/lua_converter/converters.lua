-- Converters: without an argument, with two, and from and to a number.
core.register_converters("backwards", function(text)
    return string.reverse(text)
end)

core.register_converters("pad", function(text, width, with)
    return text .. string.rep(with, tonumber(width) - #text)
end)

core.register_converters("double", function(number)
    return number * 2
end)
