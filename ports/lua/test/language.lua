-- What a script expects of its interpreter, and of the system below it.
local function primes(n)
  local found = {}
  local step = coroutine.wrap(function()
    for i = 2, n do
      local prime = true
      for _, p in ipairs(found) do
        if p * p > i then break end
        if i % p == 0 then prime = false break end
      end
      if prime then coroutine.yield(i) end
    end
  end)
  for p in step do found[#found + 1] = p end
  return found
end

local found = primes(20000)
assert(found[#found] == 19997)

assert(string.format('%5.2f|%q|%x', 2 ^ 0.5, 'a\n', 255) == ' 1.41|"a\\\n"|ff')
assert(('key = value'):match('^(%w+)%s*=%s*(%w+)$') == 'key')
assert(('x'):rep(3, ',') == 'x,x,x' and ('äöü'):len() == 6 and utf8.len('äöü') == 3)

local caught = { pcall(error, { code = 42 }) }
assert(not caught[1] and caught[2].code == 42)
assert(select(2, pcall(function() local t = nil; return t.x end)):find('language.lua:%d+:'))

local gone = 0
for _ = 1, 1000 do setmetatable({}, { __gc = function() gone = gone + 1 end }) end
collectgarbage()
assert(gone == 1000)
local weak = setmetatable({ {} }, { __mode = 'v' })
collectgarbage()
assert(#weak == 0)

local name = os.tmpname()
local file <close> = assert(io.open(name, 'w+'))
for i = 1, 1000 do file:write(i, '\n') end
file:seek('set', 0)
local sum = 0
for line in file:lines() do sum = sum + line end
assert(sum == 500500)
assert(os.remove(name))
assert(select(2, io.open('/nothing/here')) == '/nothing/here: No such file or directory')
assert(os.time({ year = 2038, month = 1, day = 20, hour = 12 }) > 1 << 31)
assert(os.getenv('HOME'))

print('all right, ' .. #found .. ' primes')
