"""The benchmark runs, and its calls are all on record. Nothing is said about speed: the machine may be busy."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_quick_run_prints_one_table_and_finds_every_call_on_record(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    tiny = ["--quick", "--only", "naive,ours", "--seconds", "0.1", "--streams", "3", "--json", str(figures)]

    run = subprocess.run([sys.executable, "-m", "bench", *tiny], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    columns = next(line for line in run.stdout.splitlines() if line.startswith("|")).split("|")[2:-1]
    assert [column.strip() for column in columns] == ["naive", "ours, proxy process", "ours, everything"]
    (turns,) = json.loads(figures.read_text())["rounds"]
    ours = turns["ours, everything"]
    assert ours["calls"] == ours["records"] > 3
    assert turns["naive"]["calls"] > 3
    assert turns["naive"]["errors"] == ours["errors"] == 0
    assert {"cpu_us_per_call_1024", "cpu_us_per_chunk_3", "rss_mb"} <= ours["figures"]["ours, proxy process"].keys()


def test_an_unknown_contender_is_named_and_nothing_is_measured(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"

    run = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "nginx,caddy", "--json", str(figures)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 2
    assert "caddy" in run.stderr
    assert not figures.exists()
