"""How many entities of Maxim's batch API a running ``llm-proxy serve`` takes in, over HTTP and in batches.

Run as ``python bench/maxim_ingest.py``. Each trace is one of an agent: two spans, three generations with their answers,
two tool calls, a retrieval, an event. What counts is the CPU time of the processes, since the machine may be busy: per
core of the store's process, and per core of all that the product runs. All of it is counted again in the store.
"""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil

PATIENCE_S = 30.0
REPOSITORY = "bench"
TEXT = "The quick brown fox jumps over the lazy dog, and the dog looks up. " * 6


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as there:
        process, url = _start(Path(there))
        try:
            return _measure(process, url, options)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _measure(process: "subprocess.Popen[str]", url: str, options: argparse.Namespace) -> int:
    batches = list(itertools.islice(_batches(options.batch), options.batches))
    _push(url, [next(_batches(options.batch, prefix="warm"))])
    before, started = _cpu_s(process), time.perf_counter()
    with ThreadPoolExecutor(options.connections) as pool:
        shares = [batches[share :: options.connections] for share in range(options.connections)]
        list(pool.map(lambda share: _push(url, share), shares))
    wall_s = time.perf_counter() - started
    spent = {role: after - before.get(role, 0.0) for role, after in _cpu_s(process).items()}
    entities = options.batch * options.batches
    print(f"{entities} entities in batches of {options.batch}, {options.connections} connections")
    print(f"  {entities / wall_s:8.0f} entities/s as the clock shows it")
    print(f"  {entities / spent['store']:8.0f} entities/s per core of the store's process")
    print(f"  {entities / sum(spent.values()):8.0f} entities/s per core of all processes")
    print("  CPU per entity: " + ", ".join(f"{role} {cpu / entities * 1e6:.0f} µs" for role, cpu in spent.items()))
    stored = _stored(url)
    print(f"  {stored} traces are in the store")
    return 0 if stored >= entities // 10 else 1


def _batches(size: int, prefix: str = "t") -> Iterator[bytes]:
    entities = itertools.chain.from_iterable(_trace(f"{prefix}{number}") for number in itertools.count())
    while True:
        yield json.dumps({"repoId": REPOSITORY, "logs": list(itertools.islice(entities, size))}).encode()


def _trace(trace_id: str) -> Iterator[dict[str, Any]]:
    """Ten entities."""
    about = {"name": "turn", "input": TEXT[:80], "tags": {"env": "bench"}}
    yield {"type": "trace", "id": trace_id, "sessionId": f"s{trace_id[:3]}", **about}
    for number in range(2):
        yield {"type": "span", "id": f"{trace_id}-s{number}", "name": "step", "traceId": trace_id}
        tool = {"name": "search", "description": "searches", "args": '{"q": "fox"}', "result": TEXT[:100]}
        yield {"type": "toolCall", "id": f"{trace_id}-c{number}", "spanId": f"{trace_id}-s{number}", **tool}
    for number in range(3):
        yield _generation(f"{trace_id}-g{number}", f"{trace_id}-s{number % 2}")
    yield {"type": "retrieval", "id": f"{trace_id}-r", "traceId": trace_id, "input": "fox", "output": [TEXT, TEXT[:99]]}
    yield {"type": "event", "id": f"{trace_id}-e", "name": "done", "traceId": trace_id, "tags": {"k": "v"}}


def _generation(generation_id: str, span_id: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": f"{generation_id}: {TEXT[:200]}"}
    return {
        "type": "generation",
        "id": generation_id,
        "spanId": span_id,
        "model": "gpt-4o",
        "provider": "openai",
        "messages": [{"role": "system", "content": TEXT}, {"role": "user", "content": f"{generation_id}?"}],
        "modelParameters": {"temperature": 0.5},
        "result": {
            "id": generation_id,
            "object": "chat.completion",
            "created": 1764000000,
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
        },
    }


def _push(url: str, batches: list[bytes]) -> None:
    with httpx.Client(trust_env=False, timeout=PATIENCE_S) as client:
        for batch in batches:
            client.post(f"{url}/v1/logs/batch", content=batch).raise_for_status()


def _stored(url: str) -> int:
    body = {"id": REPOSITORY, "type": "trace"}
    answer = httpx.post(f"{url}/v1/log-repositories/logs/search", json=body, trust_env=False, timeout=PATIENCE_S)
    return int(answer.json()["pagination"]["total"])


def _start(there: Path) -> "tuple[subprocess.Popen[str], str]":
    command = [sys.executable, "-m", "llm_proxy", "serve", "--port", "0", "--data-dir", str(there / "data")]
    env = {name: value for name, value in os.environ.items() if not name.startswith("LLM_PROXY_")}
    process = subprocess.Popen(
        [*command, "--upstream", "http://127.0.0.1:9/v1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=env,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"OPENAI_BASE_URL=(\S+)/v1", line):
            # Whatever it says from now on must not fill the pipe.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return process, found[1]
    raise SystemExit("llm-proxy serve did not start")


def _cpu_s(process: "subprocess.Popen[str]") -> dict[str, float]:
    """CPU time by role of the children, in seconds."""
    spent: dict[str, float] = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        role = "".join(child.cmdline()[-1:]).rpartition(".")[2]
        times = child.cpu_times()
        spent[role] = spent.get(role, 0.0) + times.user + times.system
    return spent


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the intake of Maxim's batch API.")
    parser.add_argument("--batch", type=int, default=100, help="entities of a batch")
    parser.add_argument("--batches", type=int, default=200, help="how many batches")
    parser.add_argument("--connections", type=int, default=2, help="connections at a time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
