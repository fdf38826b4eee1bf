-- Shows members of a thread as present. The server's clock decides, so that nodes need not agree on the time.
--
-- KEYS: the thread's presence (a hash)
-- ARGV: ms to show them, the most members, then name and state of each
local key, ttl, most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kind = redis.call('TYPE', key).ok
if kind ~= 'hash' then redis.call('DEL', key) end

-- Those whose time is over go when there is no room, and now and then, or they would stay for as long as somebody comes.
if redis.call('HLEN', key) + (#ARGV - 2) / 2 > most or now % 8 == 0 then
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local till = tonumber(string.match(all[i + 1], '^(%d+):'))
    if not till or till <= now then redis.call('HDEL', key, all[i]) end
  end
end

local till = string.format('%.0f', now + ttl)
for i = 3, #ARGV, 2 do
  if redis.call('HEXISTS', key, ARGV[i]) == 1 or redis.call('HLEN', key) < most then
    redis.call('HSET', key, ARGV[i], till .. ':' .. ARGV[i + 1])
  end
end
if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ARGV[1]) end
return '1'
