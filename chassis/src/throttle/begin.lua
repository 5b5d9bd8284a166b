-- Counts one attempt of the meter KEYS[1] as a wrong one, unless the meter is in a pause.
-- ARGV: free attempts; first pause, longest pause, and time until one attempt is forgotten, all in
-- microseconds; the member, or ''; members remembered at most.
-- Answers {1 if admitted, 1 if counted, end of the pause, 0} or {0, 0, 0, microseconds left}.
-- The server's clock is used, so that the clocks of the replicas need not agree.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local free, pause, longest, interval =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local member = ARGV[5]
local state = redis.call('HMGET', KEYS[1], 'count', 'until', 'at')
local count, pause_until, at = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or now)
local due = math.floor(math.max(now - at, 0) / interval)
at = at + due * interval
count = math.max(count - due, 0)
if count == 0 then
  at = now
  -- Whom the meter remembers is forgotten with the last attempt. A pause that is still on stays.
  redis.call('DEL', KEYS[1])
end
if member ~= '' and redis.call('HEXISTS', KEYS[1], 'm' .. member) == 1 then
  return { 1, 0, 0, 0 }
end
if pause_until > now then
  if count == 0 then
    redis.call('HSET', KEYS[1], 'until', string.format('%.0f', pause_until))
    redis.call('PEXPIRE', KEYS[1], math.ceil((pause_until - now) / 1000))
  end
  return { 0, 0, 0, pause_until - now }
end
count = count + 1
local wait = 0
if count >= free then
  wait = math.min(pause * 2 ^ math.min(count - free, 32), longest)
end
pause_until = 0
if wait > 0 then pause_until = now + wait end
-- Written out in full: numbers this large would otherwise be stored in exponent form.
redis.call('HSET', KEYS[1], 'count', count, 'until', string.format('%.0f', pause_until),
  'at', string.format('%.0f', at))
if member ~= '' and redis.call('HLEN', KEYS[1]) < 3 + tonumber(ARGV[6]) then
  redis.call('HSET', KEYS[1], 'm' .. member, 1)
end
redis.call('PEXPIRE', KEYS[1], math.ceil(math.max(count * interval, wait) / 1000))
return { 1, 1, pause_until, 0 }
