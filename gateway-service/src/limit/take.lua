-- Takes up to ARGV[3] permits from the budget KEYS[1] by the generic cell rate algorithm.
-- ARGV[1]: microseconds in which one permit comes back. ARGV[2]: permits of the whole budget.
-- Answers {granted, remaining, microseconds until whole, microseconds until one permit is there}.
-- The server's clock is used, so that the clocks of the gateways need not agree.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval = tonumber(ARGV[1])
local horizon = interval * tonumber(ARGV[2])
local whole_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local available = math.floor((now + horizon - whole_at) / interval)
if available < 1 then
  return { 0, 0, whole_at - now, whole_at + interval - horizon - now }
end
local granted = math.min(tonumber(ARGV[3]), available)
whole_at = whole_at + granted * interval
-- Written out in full: a number this large would otherwise be stored in exponent form.
redis.call('SET', KEYS[1], string.format('%.0f', whole_at), 'PX', math.ceil((whole_at - now) / 1000))
return { granted, available - granted, whole_at - now, 0 }
