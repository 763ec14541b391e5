"""`python -m kvmcheck.agent JOBS WORKERS`, in the outer guest: does the rows that come, so many at
a time. JOBS/NAME.json is a row and a place; JOBS/NAME.result is a perform.Result.
"""

import concurrent.futures
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from kvmcheck import outer, perform
from kvmcheck.table import Row
from ukcc import tables
from ukcc.vm.hypervisor.qemu import PROGRAM

_LOOK_AGAIN = 0.3  # seconds


def main(jobs: Path, workers: int) -> None:
    """Until the machine is ended."""
    seen: set[str] = set()
    outer.write(jobs / "up", json.dumps(_facts()))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        while True:
            for file in sorted(jobs.glob("*.json")):
                if file.name not in seen:
                    seen.add(file.name)
                    pool.submit(_do, file)
            time.sleep(_LOOK_AGAIN)


def _do(file: Path) -> None:
    try:
        work = json.loads(file.read_text())
        row = tables.record(Row, work["row"])
        result = perform.perform(row, perform.Place(**work["place"]))
    except Exception as error:  # the host hears of it, whatever it is
        result = perform.Result(f"the agent failed: {error!r}", 0.0)
    outer.write(file.with_suffix(".result"), json.dumps(asdict(result)))


def _facts() -> "dict[str, str]":
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout
    npt = Path("/sys/module/kvm_amd/parameters/npt")
    return {
        "kernel": os.uname().release,
        "qemu": version.splitlines()[0] if version else "none",
        "npt": npt.read_text().strip() if npt.exists() else outer.NO_KVM,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
