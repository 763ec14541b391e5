"""Runs test modules one by one and says how each did: `ok NAME`, `FAILED NAME`, `skipped NAME`.

suite.py [PREFIX]: where the tests are, if not in the standard library.
"""

import os
import subprocess
import sys
from pathlib import Path

MODULES = Path(__file__).with_name("modules.txt").read_text().split()
LIMIT = 1500  # seconds for one module
# They wait for ever on a machine that has vsock and nobody at the other end.
IGNORED = ("*VSOCK*",)

environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
if len(sys.argv) > 1:
    environment["PYTHONPATH"] = sys.argv[1]
for name in MODULES:
    ignored = [word for pattern in IGNORED for word in ("-i", pattern)]
    words = [sys.executable, "-m", "test", "-q", "--timeout", str(LIMIT - 100), *ignored, name]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
            env=environment,
            text=True,
            errors="replace",
        )
        verdict = "FAILED" if done.returncode else "ok"
        said = done.stdout
        if done.returncode == 0 and "test skipped:" in said and " OK." not in said:
            verdict = "skipped"
    except subprocess.TimeoutExpired as error:
        verdict, said = "FAILED", str(error.stdout)[-2000:]
    print(verdict, name, flush=True)
    if verdict == "FAILED":
        print(*(f"| {line}" for line in said.splitlines()[-60:]), sep="\n", flush=True)
