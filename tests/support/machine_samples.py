"""A machine as `ukcc ps` lists it."""

from ukcc.lifecycle.entry import Facts

FACTS = Facts("web", "/img/web", ("-p",), 1000.0, ("127.0.0.1:80:80",), "tcg", 128, 1, True)
