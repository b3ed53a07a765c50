"""What the pictures of the documentation show: the demo's calls, a day of others, sessions, traces and feedback.

Everything goes the way that it goes in use: calls through the proxy, traces and feedback into the store. Only the day
before is made up, of the calls that were recorded, so that lists and pictures have something to show.
"""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from msgspec.structs import replace

from llm_proxy.decode.generation import completion_of
from llm_proxy.demo.calls import Call, make, scripted_calls
from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Completion
from llm_proxy.model.exchange import new_id
from llm_proxy.model.trace import Kind, Stage, Statement
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.store.sqlite import SqliteStore
from running import Product

AGENT, TRACE, TASK_TAG = "agent-7f3a", "trip-0142", "search"
#: Calls of the day before.
_EARLIER = 260
_MODEL = "gpt-4o-mini"
_USERS = ("ada", "grace", "linus", "barbara")
_EARLIER_TAGS = (("nightly", "search"), ("search",), ("ci",), ("support", "search"))
_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, today.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_PLAN = """Here is a plan for **two days in Paris**:

1. *Saturday*: the Louvre, then a walk along the Seine.
2. *Sunday*: Montmartre, if it does not rain.

| Day | Morning | Evening |
|---|---|---|
| Saturday | Louvre | Île de la Cité |
| Sunday | Montmartre | Canal Saint-Martin |

```python
def pack(weather: dict[str, int]) -> list[str]:
    \"\"\"What to take along.\"\"\"
    return ["umbrella"] if weather["rain_percent"] > 40 else ["sunglasses"]
```
"""


async def fill(product: Product) -> None:
    """Make calls, and put the rest beside them; returns when all of it is on record."""
    options = {"base_url": product.url, "headers": {"X-LLM-Provider": "openai"}, "timeout": 30, "trust_env": False}
    async with httpx.AsyncClient(**options) as client:
        calls = [*_agent(), *scripted_calls("demo-51c0de")]
        for call in calls:
            await make(client, call)
    await product.ended(len(calls))
    recorded = await product.completions()
    store = SqliteStore(product.data_dir / "store.sqlite3")
    try:
        await store.put(list(_earlier(recorded)))
        await SqlTraces(store, completion_of).put(DEFAULT_ORGANIZATION, "travel", list(_told(datetime.now(UTC))))
    finally:
        await store.close()


def _agent() -> list[Call]:
    """A session that sends its whole history with each turn."""
    said: list[dict[str, Any]] = [
        {"role": "system", "content": "You plan trips. Ask the tools before you promise sunshine."},
        {"role": "user", "content": "Plan two days in Paris for me, please."},
    ]
    rain = json.dumps({"city": "Paris", "rain_percent": 60, "high_c": 17})
    tool = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    turns: list[list[dict[str, Any]]] = [
        [{"role": "assistant", "content": None, "tool_calls": [tool]}],
        [{"role": "tool", "tool_call_id": "call_1", "content": rain}],
        [
            {"role": "assistant", "content": _PLAN},
            {"role": "user", "content": "What should I pack, and who are you?"},
        ],
    ]
    headers = {
        "X-LLM-Session-Id": AGENT,
        "X-LLM-Session-Name": "trip to Paris",
        "X-LLM-User-Id": "ada",
        "X-LLM-Tags": "agent,search",
        "X-LLM-Trace-Id": TRACE,
    }
    calls = [Call(title="", body=_streamed(said, tools=[_WEATHER]), headers=headers)]
    said = [*said, *turns[0], *turns[1]]
    calls.append(Call(title="", body=_streamed(said), headers=headers))
    said = [*said, *turns[2]]
    calls.append(Call(title="", body=_streamed(said, temperature=0.2), headers=headers))
    return calls


def _streamed(messages: Sequence[Mapping[str, Any]], **options: Any) -> dict[str, Any]:
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    return {"model": _MODEL, "messages": list(messages), **usage, **options}


def _earlier(recorded: Sequence[Completion]) -> list[Completion]:
    """Calls like these over the day before: more by day than by night, some slower, some that failed."""
    chance, now = random.Random(7), datetime.now(UTC)
    made = []
    for _ in range(_EARLIER):
        like = recorded[chance.randrange(len(recorded))] if chance.random() < 0.25 else recorded[3]
        hours = min(chance.triangular(0.2, 24, 7), 24)
        slower = chance.lognormvariate(0, 0.5)
        context = replace(
            like.context,
            tags=chance.choice(_EARLIER_TAGS),
            user_id=chance.choice(_USERS),
            session_id=f"nightly-{int(hours * 1.5):02}" if chance.random() < 0.8 else None,
            session_name=None,
            trace_id=None,
        )
        times = {
            name: round(value * slower, 4)
            for name in ("duration_s", "ttfb_s", "ttft_s", "longest_gap_s")
            if (value := getattr(like, name)) is not None
        }
        made.append(replace(like, id=new_id(), started_at=now - timedelta(hours=hours), context=context, **times))
    return made


def _told(now: datetime) -> list[Statement]:
    """What an instrumented program tells of the same trip, as Maxim's SDK does."""
    begin = now - timedelta(seconds=8)

    def at(seconds: float) -> str:
        return (begin + timedelta(seconds=seconds)).isoformat()

    def span(start: float, end: float) -> dict[str, Any]:
        return {"startTimestamp": at(start), "endTimestamp": at(end)}

    told: list[tuple[Kind, str, dict[str, Any]]] = [
        (Kind.SESSION, AGENT, {"name": "trip to Paris", "startTimestamp": at(0)}),
        (Kind.SESSION, "chat-0099", {"name": "a chat without calls", **span(-4000, -3990)}),
        (
            Kind.TRACE,
            TRACE,
            {
                "name": "plan a trip",
                "sessionId": AGENT,
                "input": "Plan two days in Paris for me, please.",
                "output": _PLAN,
                "tags": {"environment": "production"},
                **span(0, 8),
            },
        ),
        (Kind.SPAN, "research", {"name": "research", "traceId": TRACE, **span(0.1, 3.4)}),
        (
            Kind.RETRIEVAL,
            "guides",
            {
                "name": "travel guides",
                "spanId": "research",
                "traceId": TRACE,
                "input": "two days in Paris",
                "output": ["The Louvre is closed on Tuesdays.", "Montmartre is steep."],
                **span(0.2, 0.9),
            },
        ),
        (
            Kind.TOOL_CALL,
            "weather",
            {
                "name": "get_weather",
                "spanId": "research",
                "traceId": TRACE,
                "args": '{"city": "Paris"}',
                "result": '{"rain_percent": 60, "high_c": 17}',
                **span(1.1, 2.0),
            },
        ),
        (
            Kind.TOOL_CALL,
            "trains",
            {
                "name": "find_trains",
                "spanId": "research",
                "traceId": TRACE,
                "args": '{"to": "Paris"}',
                "errors": [{"id": "e", "message": "the timetable did not answer in 1 s"}],
                **span(2.0, 3.0),
            },
        ),
        (Kind.EVENT, "chosen", {"name": "plan chosen", "traceId": TRACE, "startTimestamp": at(3.5)}),
    ]
    first_us = int(begin.timestamp() * 1_000_000)
    return [
        Statement(kind=kind, id=its_id, stage=Stage.CHANGED, heard_at_us=first_us + number, members=members)
        for number, (kind, its_id, members) in enumerate(told)
    ]
