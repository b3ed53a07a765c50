"""A short soak runs to its end, and finds every call on record."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_short_soak_says_what_memory_did_and_misses_no_call() -> None:
    small = ["--calls", "100", "--chunks", "1000", "--streams", "3", "--seconds", "0.2", "--interval-ms", "5"]

    run = subprocess.run(
        [sys.executable, "-m", "bench.soak", *small], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr
    made, recorded = re.search(r"(\d+) calls, 0 went wrong, (\d+) on record", run.stdout).groups()
    assert made == recorded
    assert re.search(r"3 streams of 1 MB at a time: [\d.]+ -> [\d.]+ MB, 3 complete", run.stdout)
