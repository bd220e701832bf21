-- Returns the end of a history, whether all messages after a position are there, and these messages.
-- KEYS: stream, history.
-- ARGV: the server's run, an epoch if a new one is needed, count, time, the time for which the history's end is known
-- (both in ms); then the epoch and the offset of the position, if there is one.
local stream, history = KEYS[1], KEYS[2]
local run, fresh, count, time, memory, epoch, offset = unpack(ARGV, 1, 7)

local known = redis.call('HMGET', history, 'run', 'epoch', 'offset')
if known[1] ~= run then
  -- A history begins here too, so that a subscriber of a topic without messages has a position that stays good.
  redis.call('HSET', history, 'run', run, 'epoch', fresh, 'offset', 0)
  redis.call('DEL', stream)
  redis.call('PEXPIRE', history, memory)
  return { fresh, '0', epoch and 0 or 1 }
end
redis.call('PEXPIRE', history, memory)

local last = known[3]
if not epoch then
  return { known[2], last, 1 }
end

local missing = tonumber(last) - tonumber(offset)
if epoch ~= known[2] or missing < 0 or missing > tonumber(count) then
  return { known[2], last, 0 }
end
if missing == 0 then
  return { known[2], last, 1 }
end

-- Offsets have no holes: if there are so many, then none is gone.
local entries = redis.call('XRANGE', stream, string.format('%.0f', offset + 1), '+')
if #entries ~= missing then
  return { known[2], last, 0 }
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if tonumber(string.match(entries[1][1], '-(%d+)$')) < now - time then
  return { known[2], last, 0 }
end
local reply = { known[2], last, 1 }
for _, entry in ipairs(entries) do
  reply[#reply + 1] = entry[2][2]
end
return reply
