"""Named tuples for compiles and links: `typing.NamedTuple` without what importing `typing` and
`collections` costs every link (4 ms)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from _operator import itemgetter

    class Record(tuple):
        """A tuple whose items have the names, and the defaults, that its class annotates."""

        __slots__ = ()

        def __init_subclass__(cls) -> None:
            cls._fields = tuple(cls.__annotations__)
            cls._defaults = {n: cls.__dict__[n] for n in cls._fields if n in cls.__dict__}
            for index, name in enumerate(cls._fields):
                setattr(cls, name, property(itemgetter(index)))

        def __new__(cls, *values, **named):
            """The fields in their order, or by name."""
            if named or len(values) != len(cls._fields):
                given = {**cls._defaults, **dict(zip(cls._fields, values)), **named}  # noqa: B905
                if len(values) + len(named) > len(cls._fields) or set(given) != set(cls._fields):
                    raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}")
                values = (given[name] for name in cls._fields)
            return tuple.__new__(cls, values)

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _replace(self, **changed):
            return type(self)(**{**dict(zip(self._fields, self, strict=True)), **changed})

        def __repr__(self) -> str:
            pairs = zip(self._fields, self, strict=True)
            return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in pairs)})"


__all__ = ["Record"]
