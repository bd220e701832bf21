-- Removes members.
-- KEYS: members, lifetimes. ARGV: the keys of the members.
for _, key in ipairs(ARGV) do
  redis.call('HDEL', KEYS[1], key)
  redis.call('ZREM', KEYS[2], key)
end
return redis.status_reply('OK')
