def primes(limit):
    return [n for n in range(2, limit) if all(n % d for d in range(2, n))]


class Tree:
    def __init__(self):
        self.root = None

    def add(self, value):
        node = [value, None, None]
        if self.root is None:
            self.root = node
            return
        at = self.root
        while True:
            side = 1 if value < at[0] else 2
            if at[side] is None:
                at[side] = node
                return
            at = at[side]

    def __iter__(self):
        return self.walk(self.root)

    def walk(self, node):
        if node:
            yield from self.walk(node[1])
            yield node[0]
            yield from self.walk(node[2])
