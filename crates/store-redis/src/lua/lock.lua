-- Takes, extends or gives back an advisory lock.
--
-- KEYS: the lock (a string that names its owner)
-- ARGV: acquire, renew or release; who asks; for how many ms
-- Answers {'1'} if it was done, or {'0', owner, ms left} ('' and 0 if nobody has it).
local key, what, asks = KEYS[1], ARGV[1], ARGV[2]
local kind = redis.call('TYPE', key).ok
if kind ~= 'string' and kind ~= 'none' then
  redis.call('DEL', key)
end
local owner = redis.call('GET', key)
if owner and owner ~= asks then
  local left = redis.call('PTTL', key)
  -- One without an end is not ours.
  if left >= 0 then return {'0', owner, tostring(left)} end
  owner = false
end
if what == 'acquire' or (what == 'renew' and owner) then
  redis.call('SET', key, asks, 'PX', ARGV[3])
elseif what == 'release' and owner then
  redis.call('DEL', key)
else
  return {'0', '', '0'}
end
return {'1'}
