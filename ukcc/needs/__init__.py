"""What a program needs of a kernel, found by proof (docs/needs.md).

program.py, frames.py: the file. references.py, regions.py, code.py, switches.py, returns.py: its
code as a graph. registers.py, effects.py, backward.py: values, by a walk backwards; uses.py: one
forwards. imports.py, linking.py, reach.py: from file to file. member.py: one file's sites;
members.py: the image's files. templates.py: glibc's functions, by their bytes. rules.py: what a
person looked up. learned.py: traces. find.py: the union.
"""

from ukcc.needs.find import find
from ukcc.needs.model import CodeMember, CodePlace, Needs, Unknown, Values

__all__ = ["CodeMember", "CodePlace", "Needs", "Unknown", "Values", "find"]
