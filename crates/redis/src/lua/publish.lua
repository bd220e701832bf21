-- Stores messages and publishes them in one step.
-- KEYS: stream, history, channel.
-- ARGV: the server's run, an epoch if a new one is needed, count, time, the time for which the history's end is known
-- (both in ms), the command that publishes; then the messages.
local stream, history, channel = KEYS[1], KEYS[2], KEYS[3]
local run, fresh, count, time, memory, publish = unpack(ARGV, 1, 6)

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- A full server refuses a script's first write, and no other after that. So the first must be one that takes memory.
local known = redis.call('HMGET', history, 'run', 'epoch')
local epoch = known[2]
if known[1] ~= run then
  -- First use; or the keys are those of an earlier run, which may lack messages that were heard.
  redis.call('HSET', history, 'run', run, 'epoch', fresh, 'offset', 0)
  redis.call('DEL', stream)
  epoch = fresh
end

local stamp = string.format('-%.0f', now)
for i = 7, #ARGV do
  local offset = string.format('%.0f', redis.call('HINCRBY', history, 'offset', 1))
  redis.call('XADD', stream, 'MAXLEN', count, offset .. stamp, 'b', ARGV[i])
  redis.call(publish, channel, '+' .. epoch .. '-' .. offset .. ':' .. ARGV[i])
end

-- Each call may remove more than it has added, so what has expired is soon gone. `replay.lua` looks at the time itself.
for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', #ARGV - 5)) do
  if tonumber(string.match(entry[1], '-(%d+)$')) >= now - time then
    break
  end
  redis.call('XDEL', stream, entry[1])
end

redis.call('PEXPIRE', stream, time)
redis.call('PEXPIRE', history, memory)
return redis.status_reply('OK')
