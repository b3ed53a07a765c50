"""The benchmark of the intake runs, and what it pushes is in the store. Nothing is said about speed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_is_pushed_is_counted_in_the_store():
    command = [sys.executable, "bench/maxim_ingest.py", "--batch", "20", "--batches", "3", "--connections", "2"]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    assert "60 entities in batches of 20" in run.stdout
    assert "8 traces are in the store" in run.stdout
