"""From the turns of all rounds to one table, and to JSON.

A value is the median over the rounds. A ratio is the median of the rounds' ratios, each between two contenders that ran
within a minute: a machine that gets slower for a while does not bend it.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.contenders import (
    AIOHTTP,
    CONTENDERS,
    NAIVE,
    NGINX,
    OURS,
    OURS_PROXY,
    REDIS_STOPPED,
    STORE_STOPPED,
    TWO_WORKERS,
    WITH_REDIS,
)
from bench.rounds import Turn

COLUMNS = (NGINX, AIOHTTP, NAIVE, OURS_PROXY, OURS)
#: What others are compared with.
_REFERENCES = (NGINX, NAIVE)
#: Figures and what the table calls them; those per call have a size in their names.
_TITLES = {
    "cpu_us_per_call_at_rate": "CPU µs per call, 1 KB, all at the same rate",
    "cpu_us_per_chunk_1": "CPU µs per chunk, 1 stream",
    "cpu_us_per_chunk_100": "CPU µs per chunk, 100 streams",
    "cpu_us_per_chunk_1000": "CPU µs per chunk, 1,000 streams",
    "transit_p99_ms": "a chunk's way p99, 1,000 streams, ms",
    "calls_per_s": "calls/s on one core, 1 KB",
    "added_p50_ms": "added latency p50, ms",
    "added_p99_ms": "added latency p99, ms",
    "added_first_token_ms": "added time to first token p50, ms",
    "rss_mb": "memory (RSS), MB",
    "cold_start_s": "start to first answer, s",
}

#: What changes behind the proxy process, and what is looked at then: the figure, and the column it has without.
TROUBLE = (TWO_WORKERS, STORE_STOPPED, WITH_REDIS, REDIS_STOPPED)
_TROUBLED = {
    "cpu_us_per_call_1024": OURS_PROXY,
    "cpu_us_per_call_at_rate": OURS_PROXY,
    "added_p50_ms": OURS,
    "added_p99_ms": OURS,
}

#: One round: what each contender's turn gave.
Round = dict[str, Turn]


def table(rounds: Sequence[Round]) -> str:
    """All figures, in Markdown: the value and, in brackets, how many times nginx's and the naive proxy's it is."""
    columns = [column for column in COLUMNS if any(_values(rounds, column, figure) for figure in _figures(rounds))]
    lines = [
        ["", *columns],
        *([_title(figure), *(_cell(rounds, column, figure) for column in columns)] for figure in _figures(rounds)),
        ["calls made / gone wrong", *(_calls(rounds, column) for column in columns)],
        ["calls on record", *(_records(rounds, column) for column in columns)],
    ]
    return _markdown(lines)


def table_of_trouble(rounds: Sequence[Round]) -> str:
    """What a call takes when something behind the proxy process is different; empty if none of it was measured."""
    columns = [column for column in TROUBLE if _turns(rounds, column)]
    if not columns:
        return ""
    lines = [["proxy process", *columns]]
    for figure, healthy in _TROUBLED.items():
        cells = []
        for column in columns:
            ratio, values = _ratio(rounds, column, healthy, figure), _values(rounds, column, figure)
            cells.append(f"{_number(median(values))} ({_times(ratio)})" if values else "-")
        lines.append([_title(figure), *cells])
    shares = (median(_values(rounds, column, "busiest_share")) for column in columns)
    lines.append(["the busiest process' share of the CPU", *(f"{share:.0%}" for share in shares)])
    lines.append(["calls made / gone wrong", *(_calls(rounds, column) for column in columns)])
    lines.append(["calls on record", *(_records(rounds, column) for column in columns)])
    return _markdown(lines)


def as_json(rounds: Sequence[Round]) -> str:
    """Everything that was measured, round by round, and where."""
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "medians": {column: _medians(rounds, column) for column in (*COLUMNS, *TROUBLE)},
        "rounds": [
            {
                name: {
                    "figures": turn.figures,
                    "calls": turn.calls,
                    "errors": turn.errors,
                    "records": turn.records,
                    "load_busy": turn.load_busy,
                }
                for name, turn in turns.items()
            }
            for turns in rounds
        ],
    }
    return json.dumps(content, indent=1)


def machine() -> dict[str, str | int | None]:
    """What it was measured on, as far as it matters."""
    packages = ("llm-proxy", "uvloop", "uvicorn", "starlette", "httpx", "aiohttp")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "nginx": _nginx_version(),
        **{name: _version(name) for name in packages},
    }


def save(rounds: Sequence[Round], path: Path) -> None:
    """Write the JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(rounds) + "\n")


def _figures(rounds: Sequence[Round]) -> list[str]:
    """The names of all figures, in the order of the table: first what a call costs, by its size."""
    names = {name for turns in rounds for turn in turns.values() for column in turn.figures.values() for name in column}
    per_call = sorted(
        (name for name in names if name.startswith("cpu_us_per_call_") and name not in _TITLES), key=_size
    )
    return per_call + [name for name in _TITLES if name in names]


def _medians(rounds: Sequence[Round], column: str) -> dict[str, float]:
    measured = {figure: _values(rounds, column, figure) for figure in _figures(rounds)}
    return {figure: median(values) for figure, values in measured.items() if values}


def _values(rounds: Sequence[Round], column: str, figure: str) -> list[float]:
    found = [turn.figures.get(column, {}).get(figure) for turns in rounds for turn in turns.values()]
    return [value for value in found if value is not None]


def _ratio(rounds: Sequence[Round], column: str, reference: str, figure: str) -> float | None:
    pairs = [(_values([turns], column, figure), _values([turns], reference, figure)) for turns in rounds]
    ratios = [own[0] / other[0] for own, other in pairs if own and other and min(own[0], other[0]) > 0]
    return median(ratios) if ratios else None


def _cell(rounds: Sequence[Round], column: str, figure: str) -> str:
    values = _values(rounds, column, figure)
    if not values:
        return "-"
    shown = " / ".join(_times(_ratio(rounds, column, reference, figure)) for reference in _REFERENCES)
    return f"{_number(median(values))} ({shown})"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{float(f'{ratio:.2g}'):g}x"  # 250x and not 2.5e+02x


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.3g}"


def _title(figure: str) -> str:
    return _TITLES.get(figure) or f"CPU µs per call, {_size(figure) // 1024} KB"


def _size(figure: str) -> int:
    return int(figure.rpartition("_")[2])


def _calls(rounds: Sequence[Round], column: str) -> str:
    turns = _turns(rounds, column)
    return f"{sum(turn.calls for turn in turns)} / {sum(turn.errors for turn in turns)}"


def _records(rounds: Sequence[Round], column: str) -> str:
    records = [turn.records for turn in _turns(rounds, column) if turn.records is not None]
    return str(sum(records)) if records else "none are kept"


def _turns(rounds: Sequence[Round], column: str) -> list[Turn]:
    return [turn for turns in rounds for turn in turns.values() if column in turn.figures]


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    rule = [("-" * width) if position == 0 else "-" * (width - 1) + ":" for position, width in enumerate(widths)]
    rows = [lines[0], rule, *lines[1:]]
    return "\n".join(f"| {' | '.join(_aligned(row, widths))} |" for row in rows)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = zip(row, widths, strict=True)
    return [cell.rjust(width) if position else cell.ljust(width) for position, (cell, width) in enumerate(cells)]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _nginx_version() -> str | None:
    contender = next(one for one in CONTENDERS if one.name == NGINX)
    if contender.missing() is not None:
        return None
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False)
    return said.stderr.rpartition("/")[2].strip()
