-- Takes up to ARGV[3] permits from the budget KEYS[1], a hash with the permits taken in each span.
-- ARGV[1]: microseconds of a span. ARGV[2]: permits per window. ARGV[4], ARGV[5]: permits of an
-- earlier grant that were not used, and their span. ARGV[6]: spans of a window.
-- Answers {granted, remaining, microseconds until whole, until one permit is there, span,
-- microseconds left of it}.
-- The server's clock is used, so that the clocks of the gateways need not agree.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local length = tonumber(ARGV[1])
local spans = tonumber(ARGV[6])
local span = math.floor(now / length)
local unused = tonumber(ARGV[4])
local used, oldest, newest = 0, nil, nil
local counts = redis.call('HGETALL', KEYS[1])
for i = 1, #counts, 2 do
  local number, count = tonumber(counts[i]), tonumber(counts[i + 1])
  if number < span - spans then
    redis.call('HDEL', KEYS[1], counts[i])
  else
    if unused > 0 and counts[i] == ARGV[5] then
      unused = math.min(unused, count)
      count = count - unused
      redis.call('HINCRBY', KEYS[1], counts[i], -unused)
      unused = 0
    end
    if count > 0 then
      used = used + count
      oldest = math.min(oldest or number, number)
      newest = math.max(newest or number, number)
    end
  end
end
local available = math.max(tonumber(ARGV[2]) - used, 0)
local granted = math.min(tonumber(ARGV[3]), available)
if granted > 0 then
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', span), granted)
  redis.call('PEXPIRE', KEYS[1], math.ceil((spans + 1) * length / 1000))
  newest = math.max(newest or span, span)
end
local function passes(number) return (number + spans + 1) * length - now end
local whole = newest and passes(newest) or 0
local retry = 0
if granted == 0 then retry = passes(oldest or span) end
return { granted, available - granted, whole, retry, span, (span + 1) * length - now }
