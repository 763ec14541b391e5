"""What a failure's data say, as lines on standard output.

`python -m ukcc.failures KIND FILE IMAGE [HOSTDIR GUESTDIR]…`; KIND is `core` (a trimmed core),
`cpus` (what QEMU's monitor said) or `panic` (the console).
"""

import sys
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.failures.explain import explain
from ukcc.failures.stuck import explain_cpus, explain_panic


def main(kind: str, file: str, image: str, *shares: str) -> int:
    """Prints the lines; 1 and one line on standard error if there is nothing to be said."""
    pairs = list(zip(shares[::2], shares[1::2], strict=True))
    try:
        data = Path(file).read_bytes()
        if kind == "cpus":
            lines = explain_cpus(data, image)
        elif kind == "panic":
            lines = explain_panic(data, image)
        else:
            lines = explain(data, image, pairs)
    except UkccError as error:
        print(error.message, file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
