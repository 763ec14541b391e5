"""Whether fio's report, as JSON, has four jobs without an error that wrote and read all of it."""

import json
import sys
from pathlib import Path

report = json.loads(Path(sys.argv[1]).read_text())
jobs = {job["jobname"]: job for job in report["jobs"]}
assert set(jobs) == {"calls", "mapped", "asynchronous", "ring"}, set(jobs)
for name, job in jobs.items():
    done = job["error"], job["write"]["io_bytes"], job["read"]["io_bytes"]
    assert done == (0, 16 << 20, 16 << 20), (name, done)
