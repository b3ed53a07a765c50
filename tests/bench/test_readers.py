"""The benchmark of calls beside pages runs through. Nothing is said about speed: the machine may be busy."""

import asyncio
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from bench.readers import PAGES, ratio
from bench.seeding import seeded

from llm_proxy.store.sqlite import SqliteStore
from running import PATIENCE_S

ROOT = Path(__file__).parents[2]


def test_what_readers_change_is_told_with_what_the_turns_support():
    alone = [2.0, 4.0, 3.0, 10.0, 2.5, 3.5]

    steady = ratio(alone, [1.1 * turn for turn in alone])
    loose = ratio(alone, [3.0, 2.0, 9.0, 3.0, 12.0, 2.5])

    assert steady == pytest.approx((1.1, 1.1, 1.1))
    assert loose[1] < 1.0 < loose[2]


def test_a_small_run_tells_of_calls_alone_and_beside_every_page(tmp_path: Path) -> None:
    asyncio.run(seeded(partial(SqliteStore, tmp_path / "store.sqlite3"), 20))
    tiny = ["--data-dir", str(tmp_path), "--turns", "1", "--seconds", "0.5", "--rate", "20", "--pause", "0"]

    run = subprocess.run(
        [sys.executable, "-m", "bench.readers", *tiny],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=2 * PATIENCE_S,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    assert re.search(r"p99 with readers is [\d.]+ times that alone \(95%: [\d.]+ to [\d.]+\)", run.stdout)
    assert {run.stdout.count(f"\n| {name} |") for name in ("alone", "with readers")} == {1}
    assert any(f"| {name} |" in run.stdout for name in PAGES)
