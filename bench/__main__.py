"""The one command: ``python -m bench``. All contenders in turn, round after round, then one table.

Exit status 1 if a call went wrong or was not recorded.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
import uvloop

from bench import load, report
from bench.contenders import CONTENDERS, Contender
from bench.cpu import Cores, cpu_s
from bench.rounds import STREAMS, Bench, Plan

_FULL = Plan(rounds=3, sizes=(1024, 8 * 1024, 256 * 1024), seconds=2.5, streams=tuple(STREAMS))
_QUICK = Plan(rounds=1, sizes=(1024,), seconds=1.0, streams=(100,))
#: The load is not what was measured as long as its core had so much to spare.
_BUSIEST = 0.9
_RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Measure and print."""
    options = _options()
    present = _present(options.only)
    if not present:
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rounds = runner.run(_measure(options.plan, present))
    _print_report(rounds)
    report.save(rounds, options.json)
    print(f"\nall of it, round by round: {options.json}")
    return 0 if _is_sound(rounds) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare llm-proxy with other proxies.")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--only", help=f"comma list of contenders: {', '.join(map(_short, CONTENDERS))}")
    parser.add_argument("--rounds", type=int, help="rounds, over which the median is taken")
    parser.add_argument("--seconds", type=float, help="length of each load")
    parser.add_argument("--streams", type=int, nargs="+", help="streams at a time")
    parser.add_argument("--equal-rate", type=int, default=load.EQUAL_RATE, help="calls a second, the same for all")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    chosen = _QUICK if options.quick else _FULL
    options.plan = Plan(
        rounds=options.rounds or chosen.rounds,
        sizes=chosen.sizes,
        seconds=options.seconds or chosen.seconds,
        streams=tuple(options.streams or chosen.streams),
        equal_rate=options.equal_rate,
    )
    options.json = options.json or _RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    return options


def _present(only: str | None) -> list[Contender]:
    """Those that are wanted and can be run; what is missing is said."""
    wanted = [name.strip() for name in only.split(",")] if only else [_short(one) for one in CONTENDERS]
    unknown = set(wanted) - {_short(one) for one in CONTENDERS}
    if unknown:
        print(f"no such contender: {', '.join(sorted(unknown))}", file=sys.stderr)
        return []
    present = []
    for contender in CONTENDERS:
        if _short(contender) in wanted:
            why = contender.missing()
            print(f"{_short(contender):16} {contender.what if why is None else f'not measured: {why}'}")
            if why is None:
                present.append(contender)
    return present


def _short(contender: Contender) -> str:
    return contender.name if not contender.is_whole else contender.name.split(",")[0]


async def _measure(plan: Plan, contenders: Sequence[Contender]) -> list[report.Round]:
    cores = Cores()
    cores.use_for_load()
    upstream = _start_upstream()
    assert upstream.stdin is not None
    assert upstream.stdout is not None
    load_processes = [psutil.Process(), psutil.Process(upstream.pid)]
    try:
        bench = Bench(
            plan,
            cores,
            upstream_port=int(upstream.stdout.readline()),
            load_cpu_s=lambda: cpu_s(load_processes),
        )
        rounds: list[report.Round] = []
        for number in range(plan.rounds):
            direct = await bench.direct()
            turns: report.Round = {}
            for contender in contenders:
                print(f"round {number + 1} of {plan.rounds}: {contender.name}", file=sys.stderr, flush=True)
                turns[contender.name] = await bench.turn(contender, direct)
            rounds.append(turns)
        return rounds
    finally:
        upstream.stdin.close()
        upstream.wait(load.PATIENCE_S)


def _start_upstream() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "bench.upstream"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)


def _print_report(rounds: Sequence[report.Round]) -> None:
    print("\n" + report.table(rounds))
    print("\nIn brackets: times nginx's / times the naive proxy's.")
    if troubled := report.table_of_trouble(rounds):
        print("\n" + troubled + "\n\nIn brackets: times what it is without.")
    for turns in rounds:
        for name, turn in turns.items():
            if turn.load_busy > _BUSIEST:
                print(f"{name}: the core of the load was {turn.load_busy:.0%} busy; it may do more calls/s than shown")


def _is_sound(rounds: Sequence[report.Round]) -> bool:
    sound = True
    for number, turns in enumerate(rounds, 1):
        for name, turn in turns.items():
            if turn.errors or turn.records not in (None, turn.calls):
                sound = False
                what = f"{turn.calls} calls, {turn.errors} went wrong, {turn.records} on record"
                print(f"round {number}: {name}: {what}", file=sys.stderr)
    return sound


if __name__ == "__main__":
    sys.exit(main())
