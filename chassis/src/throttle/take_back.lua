-- Takes one counted attempt of the meter KEYS[1] back. ARGV: the end of the pause that it began, 0
-- for none; the member, or ''. A meter that is gone stays gone.
local count = tonumber(redis.call('HGET', KEYS[1], 'count') or 0)
if count <= 1 then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('HSET', KEYS[1], 'count', count - 1)
if redis.call('HGET', KEYS[1], 'until') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'until', '0')
end
if ARGV[2] ~= '' then redis.call('HDEL', KEYS[1], 'm' .. ARGV[2]) end
return count - 1
