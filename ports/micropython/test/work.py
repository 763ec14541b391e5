import array
import gc
import math

import ustruct
from helper import Tree, primes


def fib():
    a, b = 0, 1
    while True:
        yield a
        a, b = b, a + b


f = fib()
print([next(f) for _ in range(12)], 3**200 % 1000007)
print(primes(60), math.sqrt(2))
tree = Tree()
for n in range(2000):
    tree.add(n * 7919 % 2003)
print(len(list(tree)), list(tree)[:5], list(tree) == sorted(tree))
try:
    [][3]
except IndexError as e:
    print("caught", e)
print(ustruct.unpack("<HI", ustruct.pack("<HI", 42, 1 << 31)), sum(array.array("i", range(100))))
# sixty times the heap: the collector has to find what is dead, and nothing else
kept = [bytearray([n] * 1000) for n in range(100)]
for _ in range(1000):
    garbage = bytearray(1000000)
gc.collect()
print(sum(b[0] + b[-1] for b in kept), gc.mem_alloc() < 3000000)
