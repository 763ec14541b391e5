"""Coverage-guided fuzzing of every parser that reads what a guest or a stranger wrote.

Python by Atheris, C by clang's libFuzzer (docs/testing.md, "Fuzzing"). Atheris and not Hypothesis:
these are formats of bytes, where coverage leads the way through magic numbers and lengths, and
both halves then have one engine, one kind of corpus and one set of options.
"""
