"""`python in_guest.py COMMAND…`: wrapper.py by a path, for a suite that starts it in any directory
and with any environment."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

    from conformance.wrapper import main

    sys.exit(main(sys.argv[1:]))
