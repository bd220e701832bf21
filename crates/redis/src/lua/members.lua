-- Returns the keys and values of the members whose lifetime is not over.
-- KEYS: members, lifetimes.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local keys = redis.call('ZRANGEBYSCORE', KEYS[2], string.format('(%.0f', now), '+inf')
local reply = {}
-- `unpack` has a limit of some thousand values.
for first = 1, #keys, 1000 do
  local some = { unpack(keys, first, math.min(first + 999, #keys)) }
  local values = redis.call('HMGET', KEYS[1], unpack(some))
  for i, key in ipairs(some) do
    -- The one key can be evicted without the other.
    if values[i] then
      reply[#reply + 1] = key
      reply[#reply + 1] = values[i]
    end
  end
end
return reply
