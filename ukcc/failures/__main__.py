"""`python -m ukcc.failures core FILE IMAGE [HOSTDIR GUESTDIR]…`: prints what a trimmed core says."""

import sys
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.failures.explain import explain


def main(kind: str, file: str, image: str, *shares: str) -> int:
    """Prints the lines; 1 and one line on standard error if there is nothing to be said."""
    pairs = list(zip(shares[::2], shares[1::2], strict=True))
    try:
        lines = explain(Path(file).read_bytes(), image, pairs)
    except UkccError as error:
        print(error.message, file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
