-- Stores members, or renews them.
-- KEYS: members, lifetimes. ARGV: lifetime in ms; then the key and the value of each member.
local members, lifetimes = KEYS[1], KEYS[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local over = string.format('%.0f', now + ARGV[1])

-- A full server refuses a script's first write, and no other after that. So the first must be one that takes memory.
for i = 2, #ARGV, 2 do
  redis.call('HSET', members, ARGV[i], ARGV[i + 1])
  redis.call('ZADD', lifetimes, over, ARGV[i])
end

-- Those whose lifetime is over are removed, a bounded number each time.
for _, key in ipairs(redis.call('ZRANGEBYSCORE', lifetimes, '-inf', string.format('%.0f', now), 'LIMIT', 0, 200)) do
  redis.call('ZREM', lifetimes, key)
  redis.call('HDEL', members, key)
end

-- Both keys live as long as the member that lives longest.
local longest = redis.call('ZREVRANGE', lifetimes, 0, 0, 'WITHSCORES')
local at = string.format('%.0f', longest[2] + 1)
redis.call('PEXPIREAT', members, at)
redis.call('PEXPIREAT', lifetimes, at)
return redis.status_reply('OK')
