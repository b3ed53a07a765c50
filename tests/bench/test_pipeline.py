"""The benchmark of the pipeline runs through. Nothing is said about speed: the machine may be busy."""

import re
import subprocess
import sys
from pathlib import Path

from redis_service import RedisServer
from running import PATIENCE_S

ROOT = Path(__file__).parents[2]


def test_a_small_run_measures_both_ways_into_the_store(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    tiny = ["--redis", redis.url, "--calls", "20", "--looked-for", "3"]

    try:
        run = subprocess.run(
            [sys.executable, "-m", "bench.pipeline", *tiny],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=2 * PATIENCE_S,
        )  # fmt: skip
    finally:
        redis.stop()

    assert run.returncode == 0, run.stderr
    embedded, through_redis = run.stdout.split("by way of Redis, SQLite")
    assert re.search(r"rate: store [0-9,]+/s per core", embedded)
    assert re.search(r"rate: worker [0-9,]+/s per core, shipper [0-9,]+/s per core", through_redis)
    assert run.stdout.count("delay: p50 ") == 2
