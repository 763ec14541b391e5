"""A tree of boxes, each as large as what is in it: instructions of a boot, or bytes of a file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Box:
    """own: what is in none of the children; times: how often it was called, 0 for what is not."""

    name: str
    own: int = 0
    children: "tuple[Box, ...]" = ()
    times: int = 0

    @cached_property
    def size(self) -> int:
        """Its own and that of all children."""
        return self.own + sum(child.size for child in self.children)

    def child(self, name: str) -> "Box | None":
        """The child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """Nested objects with `name`, `size` and, where there are some, `children` and `times`."""
        document: dict[str, Any] = {"name": self.name, "size": self.size}
        if self.times:
            document["times"] = self.times
        if self.children:
            document["children"] = [child.as_json() for child in self.children]
        return document


@dataclass(frozen=True)
class Change:
    """A box in two trees: its path from the root, and its size in both."""

    path: tuple[str, ...]
    before: int
    after: int

    @property
    def difference(self) -> int:
        """How much it has grown."""
        return self.after - self.before


class Building:
    """A tree that grows by paths; boxes are in the order in which they came."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._own = 0
        self._times = 0
        self._children: dict[str, Building] = {}

    def at(self, path: Iterable[str]) -> "Building":
        """The box there, made if there is none."""
        box = self
        for name in path:
            found = box._children.get(name)
            if found is None:
                found = box._children[name] = Building(name)
            box = found
        return box

    def add(self, size: int, times: int = 0) -> None:
        """Makes the box itself larger."""
        self._own += size
        self._times += times

    def built(self) -> Box:
        """The tree, which does not change any more."""
        # by hand: a tree of calls may be deeper than Python's own stack
        stack, made = [(self, False)], dict[int, Box]()
        while stack:
            box, is_entered = stack.pop()
            if not is_entered:
                stack.append((box, True))
                stack += [(child, False) for child in box._children.values()]
                continue
            children = tuple(made.pop(id(child)) for child in box._children.values())
            made[id(box)] = Box(box._name, box._own, children, box._times)
            _ = made[id(box)].size  # known now, while the children's are
        return made[id(self)]


def largest_first(box: Box) -> Box:
    """The same with children in the order of their sizes, to any depth."""
    children = sorted(map(largest_first, box.children), key=lambda b: (-b.size, b.name))
    return Box(box.name, box.own, tuple(children), box.times)


def pruned(box: Box, least: int, depth: int) -> Box:
    """At most `depth` levels of children; those smaller than `least` are part of their parent."""
    if not depth:
        return Box(box.name, box.size, (), box.times)
    kept = [pruned(child, least, depth - 1) for child in box.children if child.size >= least]
    own = box.size - sum(child.size for child in kept)
    return Box(box.name, own, tuple(kept), box.times)


def levels(box: Box) -> int:
    """How many levels of children there are."""
    return 1 + max(map(levels, box.children)) if box.children else 0


def walk(box: Box, depth: int) -> Iterator[tuple[int, Box]]:
    """The box's children to that depth, each with its level from 1 on, parents first."""
    stack = [(1, child) for child in reversed(box.children)]
    while stack:
        level, inner = stack.pop()
        yield level, inner
        if level < depth:
            stack += [(level + 1, child) for child in reversed(inner.children)]


def changes(before: "Box | None", after: "Box | None", depth: int) -> list[Change]:
    """What is not the same, at each level down to `depth`: the largest difference first."""
    found: list[Change] = []
    stack: list[tuple[tuple[str, ...], Box | None, Box | None]] = [((), before, after)]
    while stack:
        path, left, right = stack.pop()
        if path and _size(left) != _size(right):
            found.append(Change(path, _size(left), _size(right)))
        if len(path) < depth:
            ours = {child.name: child for child in left.children} if left else {}
            theirs = {child.name: child for child in right.children} if right else {}
            stack += [((*path, n), ours.get(n), theirs.get(n)) for n in ours | theirs]
    return sorted(found, key=lambda c: (-abs(c.difference), c.path))


def _size(box: "Box | None") -> int:
    return box.size if box else 0
