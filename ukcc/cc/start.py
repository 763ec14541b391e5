"""What toolchain-shims/bin/uk-driver starts: arguments are a tool's name and what it was given."""

import os
import sys

sys.path.insert(0, os.path.realpath(__file__).rsplit("/", 3)[0])

from ukcc.cc.driver import main

del sys.argv[0]
# Nothing of ours is buffered, and the interpreter's own way out takes 2 ms a link.
os._exit(main())
