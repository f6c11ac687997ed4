/**
 * Counts of one key in one hash, for Redis 5 and later and Valkey. KEYS[1] is the hash; ARGV: what to do, the router,
 * and what `redis-limits.ts` lists. A take of a key that is not there answers `absent`: the router says then what it
 * knows of it, and asks again. Fields: `born`, `ends`, `day`, `mr`, `mt`, `mu` of the minute, `dr`, `dt`, `du` of the day, and a
 * place for each router, `p:<router>`, with the same numbers as PostgreSQL's.
 */
export const redisScript = `
local key, what, router = KEYS[1], ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local today = math.floor(now / 86400000)
local function num(at) return tonumber(ARGV[at]) end

local h = {}
local flat = redis.call('HGETALL', key)
for i = 1, #flat, 2 do h[flat[i]] = flat[i + 1] end
local isNew = h.ends == nil
if isNew then
  -- ARGV[3..6] minute: left, requests, tokens, dollars; ARGV[7..9] day; ARGV[10] whether they are known
  if ARGV[10] == '0' then return {'absent'} end
  h.ends, h.mr, h.mt, h.mu = now + num(3), num(4), num(5), num(6)
  h.day, h.dr, h.dt, h.du = today, num(7), num(8), num(9)
  h.born = string.format('%.17g', now)
end
local ends, mr, mt, mu = tonumber(h.ends), tonumber(h.mr), tonumber(h.mt), tonumber(h.mu)
local day, dr, dt, du = tonumber(h.day), tonumber(h.dr), tonumber(h.dt), tonumber(h.du)
if ends <= now then ends, mr, mt, mu = now + 60000, 0, 0, 0 end
if day ~= today then day, dr, dt, du = today, 0, 0, 0 end

local field = 'p:' .. router
local function read(text)
  local place = {}
  for part in string.gmatch(text, '[^,]+') do place[#place + 1] = tonumber(part) end
  return place
end
local function text(n) return string.format('%.17g', n) end
local function put(place)
  if place[1] <= 0 then redis.call('HDEL', key, field) return end
  local parts = {}
  for i = 1, 5 do parts[i] = text(place[i]) end
  parts[6] = text(now)
  redis.call('HSET', key, field, table.concat(parts, ','))
end
local function save()
  redis.call('HSET', key, 'ends', text(ends), 'mr', text(mr), 'mt', text(mt), 'mu', text(mu),
    'born', h.born, 'day', text(day), 'dr', text(dr), 'dt', text(dt), 'du', text(du))
  redis.call('EXPIRE', key, 172800)
end

if what == 'settle' then
  local place = h[field] and read(h[field])
  if place then
    place[1] = place[1] - 1
    if num(11) > 0 then place[2] = math.max(0, place[2] - 1); place[3] = place[3] - num(11) end
    if num(12) > 0 then place[4] = math.max(0, place[4] - 1); place[5] = place[5] - num(12) end
    if place[2] == 0 then place[3] = 0 end
    if place[4] == 0 then place[5] = 0 end
    put(place)
  end
  mt, mu, dt, du = mt + num(13), mu + num(14), dt + num(13), du + num(14)
  save()
  return {'ok'}
end

if what == 'renew' then
  put({num(11), num(12), num(13), num(14), num(15)})
  mr, mt, mu = mr + num(16), mt + num(17), mu + num(18)
  -- What a new hash was begun with has what is owed to the day already.
  if not isNew then dr, dt, du = dr + num(19), dt + num(20), du + num(21) end
  save()
  return {'ok'}
end

-- take: ARGV[11] life of a place, [12] whether one is held, [13] whether the cloud alone will do, [14] tokens,
-- [15] dollars, [16..22] limits, empty for none
local n, tc, ts, uc, us = 0, 0, 0, 0, 0
for name, value in pairs(h) do
  if string.sub(name, 1, 2) == 'p:' then
    local place = read(value)
    if place[6] < now - num(11) then
      redis.call('HDEL', key, name)
      h[name] = nil
    else
      n, tc, ts, uc, us = n + place[1], tc + place[2], ts + place[3], uc + place[4], us + place[5]
    end
  end
end
local tokens, dollars = num(14), num(15)
local function beyond(used, at) local limit = tonumber(ARGV[at]) return limit ~= nil and used + 1 > limit end
local function spent(used, reserved, count, asked, at)
  local limit = tonumber(ARGV[at])
  if limit == nil then return false end
  if count == 0 or asked == 0 then return used + reserved >= limit end
  return used + reserved + asked > limit
end
local full = beyond(n, 16) or beyond(mr, 17) or beyond(dr, 18)
  or spent(mt, ts, tc, tokens, 19) or spent(dt, ts, tc, tokens, 20)
local noMoney = spent(mu, us, uc, dollars, 21) or spent(du, us, uc, dollars, 22)
local granted = not full and not (noMoney and ARGV[13] == '1')
local answer = {granted and '1' or '0', text(ends - now), text(mr), text(mt), text(mu),
  text(86400000 - now % 86400000), text(dr), text(dt), text(du), text(n), text(tc), text(ts), text(uc), text(us),
  h.born}
if granted then
  if ARGV[12] == '1' then
    local place = h[field] and read(h[field]) or {0, 0, 0, 0, 0}
    if noMoney then dollars = 0 end
    place[1] = place[1] + 1
    if tokens > 0 then place[2], place[3] = place[2] + 1, place[3] + tokens end
    if dollars > 0 then place[4], place[5] = place[4] + 1, place[5] + dollars end
    put(place)
  end
  mr, dr = mr + 1, dr + 1
  save()
end
return answer
`;
