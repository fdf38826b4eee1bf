-- Extends a tail by the entries that follow its last one, and tells of it.
--
-- KEYS: the tail (a stream), the thread's index (a set), where it is told (a channel or a stream) if it is
-- ARGV: epoch, the number before the first entry, 1 to begin anew after a gap, entries to keep, bytes to keep,
--       ms to keep the tail, ms to keep the index, what the index holds of it (the log is in none: ''),
--       how many commands tell of it, for each of them how many words it has and these, entries…
-- Answers {'1'}, or {'0', epoch, number} with where the tail ends.
--
-- An entry has the fields d (itself) and n (the bytes appended up to its end, to bound the tail by bytes).
local key = KEYS[1]
local epoch, after = tonumber(ARGV[1]), tonumber(ARGV[2])
local total = 0
local kind = redis.call('TYPE', key).ok
if kind ~= 'none' then
  local anew = true
  local top = kind == 'stream' and redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if top then
    local e, s = string.match(top[1], '^(%d+)-(%d+)$')
    local top_epoch, top_seq = tonumber(e), tonumber(s)
    if epoch == top_epoch and after == top_seq then
      anew = false
      total = tonumber(top[2][4]) or 0
    elseif epoch < top_epoch or (epoch == top_epoch and (after < top_seq or ARGV[3] ~= '1')) then
      return {'0', e, s}
    end
  end
  -- Another kind of value is not ours, and an emptied stream would refuse lower numbers for ever.
  if anew then redis.call('DEL', key) end
end

local first, telling = 10, {}
for i = 1, tonumber(ARGV[9]) do
  local words = tonumber(ARGV[first])
  telling[i] = {unpack(ARGV, first + 1, first + words)}
  first = first + words + 1
end

for i = first, #ARGV do
  total = total + #ARGV[i]
  -- In this order, since after + i may be beyond 2^53.
  local id = ARGV[1] .. '-' .. string.format('%.0f', after + (i - first + 1))
  redis.call('XADD', key, 'MAXLEN', '=', ARGV[4], id, 'd', ARGV[i], 'n', string.format('%.0f', total))
end

-- Held from an entry on: all that was appended, less what came before it. The last entry always stays. One entry is
-- looked at before many: mostly there is nothing to drop, and nothing to look at until so much was appended at all.
local keep, look = tonumber(ARGV[5]), 1
while total > keep do
  local oldest = redis.call('XRANGE', key, '-', '+', 'COUNT', look)
  local length, drop = redis.call('XLEN', key), 0
  for _, entry in ipairs(oldest) do
    local d, n = entry[2][2], tonumber(entry[2][4]) or 0
    if total - n + #d <= keep or drop + 1 >= length then break end
    drop = drop + 1
  end
  if drop > 0 then redis.call('XTRIM', key, 'MAXLEN', '=', length - drop) end
  if drop < look then break end
  look = 16
end

redis.call('PEXPIRE', key, ARGV[6])
if ARGV[8] ~= '' then
  if redis.call('TYPE', KEYS[2]).ok ~= 'set' then redis.call('DEL', KEYS[2]) end
  redis.call('SADD', KEYS[2], ARGV[8])
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
end
for _, words in ipairs(telling) do redis.call(unpack(words)) end
return {'1'}
