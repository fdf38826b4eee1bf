-- Lists who is present in a thread: name and state of each. Those whose time is over are removed.
--
-- KEYS: the thread's presence (a hash)
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return {} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local present = {}
for i = 1, #all, 2 do
  local till, state = string.match(all[i + 1], '^(%d+):(.*)$')
  if till and tonumber(till) > now then
    present[#present + 1] = all[i]
    present[#present + 1] = state
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return present
