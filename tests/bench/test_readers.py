"""The benchmark of calls beside pages runs through. Nothing is said about speed: the machine may be busy."""

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path

from bench.readers import PAGES
from bench.seeding import seeded

from llm_proxy.store.sqlite import SqliteStore
from running import PATIENCE_S

ROOT = Path(__file__).parents[2]


def test_a_small_run_tells_of_calls_alone_and_beside_every_page(tmp_path: Path) -> None:
    asyncio.run(seeded(partial(SqliteStore, tmp_path / "store.sqlite3"), 20))
    tiny = ["--data-dir", str(tmp_path), "--turns", "1", "--seconds", "0.5", "--rate", "20"]

    run = subprocess.run(
        [sys.executable, "-m", "bench.readers", *tiny],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=2 * PATIENCE_S,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    assert "| alone, the middle of the turns |" in run.stdout
    assert "| with readers, the middle of the turns |" in run.stdout
    assert any(f"| {name} |" in run.stdout for name in PAGES)
