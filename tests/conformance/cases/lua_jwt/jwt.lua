-- jwt AUDIENCE: txn.jwt_user is whom the token names, or txn.jwt_reason says what is wrong with it.
local version = _VERSION:match("%d+%.%d+")
package.cpath = "/usr/lib/x86_64-linux-gnu/lua/" .. version .. "/?.so;" .. package.cpath
package.path = "/usr/share/lua/" .. version .. "/?.lua;" .. package.path

local json = require("cjson")
local hmac = require("openssl.hmac")
local digest = require("openssl.digest")
local pkey = require("openssl.pkey")

local SECRET = "a shared secret"
local file = assert(io.open("public.pem"))
local PUBLIC = pkey.new(file:read("*a"))
file:close()

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local VALUES = {}
for at = 1, #ALPHABET do VALUES[ALPHABET:byte(at)] = at - 1 end

local function decode(text)
    local bytes, bits, count = {}, 0, 0
    for at = 1, #text do
        bits, count = (bits << 6 | VALUES[text:byte(at)]) & 0xffffff, count + 6
        if count >= 8 then
            count = count - 8
            bytes[#bytes + 1] = string.char(bits >> count & 0xff)
        end
    end
    return table.concat(bytes)
end

local CHECKS = {
    HS256 = function(signed, signature) return hmac.new(SECRET, "sha256"):final(signed) == signature end,
    RS256 = function(signed, signature)
        local hash = digest.new("sha256")
        hash:update(signed)
        return PUBLIC:verify(signature, hash)
    end,
}

local function check(token, audience)
    local head, claims, signature = token:match("^Bearer ([%w_-]+)%.([%w_-]+)%.([%w_-]*)$")
    if not head then return nil, "no token" end
    local verify = CHECKS[json.decode(decode(head)).alg]
    if not verify then return nil, "no algorithm of ours" end
    if not verify(head .. "." .. claims, decode(signature)) then return nil, "its signature is wrong" end
    claims = json.decode(decode(claims))
    if claims.exp < core.now().sec then return nil, "it has expired" end
    if claims.aud ~= audience then return nil, "it is for somebody else" end
    return claims.sub
end

core.register_action("jwt", { "http-req" }, function(txn, audience)
    local headers = txn.http:req_get_headers()
    local token = headers.authorization and headers.authorization[0] or ""
    local fine, user, why = pcall(check, token, audience)
    if fine and user then
        txn:set_var("txn.jwt_user", user)
    else
        txn:set_var("txn.jwt_reason", fine and why or "no token")
    end
end, 1)
