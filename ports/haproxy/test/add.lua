core.register_converters("add", function(text)
  local a, b = text:match("(%d+)/(%d+)")
  return a and tostring(math.tointeger(a + b)) or "nothing"
end)
