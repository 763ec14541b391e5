"""`make compat`: distribution sources, unmodified, built by uk-gcc, tested and booted.

What is built and how is data (`tests/compat/rows/*.toml`, read by `schema.py`); this package runs
it. `docs/compatibility.md` has the result.
"""
