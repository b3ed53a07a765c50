"""``llm-proxy deadletters``: look at the calls that could not be stored, try them again, or delete them.

They are files on a host without Redis, and entries in Redis otherwise; both are shown together. From a file a call goes
straight into the store, and stays a file if the store rejects it again; in Redis it is put back in the queue.
"""

import asyncio
import base64
import json
import sys
from array import array
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from llm_proxy.errors import ConfigError, EnvelopeUnreadable, QueueUnavailable, StoreRejected
from llm_proxy.queue.in_journal_letters import JournalLetters
from llm_proxy.queue.letters import DeadLetter
from llm_proxy.queue.redis_letters import RedisLetters
from llm_proxy.settings.table import Settings
from llm_proxy.understand import understand
from llm_proxy.wiring import redis
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.pricing import make_pricer
from llm_proxy.wiring.stores import open_store

#: Characters of a reason that a line of the list shows.
_SHOWN_CHARACTERS = 100

_Letters: TypeAlias = JournalLetters | RedisLetters


@dataclass(frozen=True, slots=True)
class Found:
    """One of them, and where it is kept."""

    letter: DeadLetter
    letters: _Letters


def list_dead_letters(settings: Settings, *, as_json: bool) -> int:
    """Print one line for each: call, when, how often delivered, why."""

    async def act() -> int:
        async with open_places(settings) as places:
            async for found in all_letters(places):
                print(_line(found.letter, as_json=as_json))  # noqa: T201 - this is what the command says
        return 0

    return _run(act)


def show_dead_letter(settings: Settings, call_id: str) -> int:
    """Print one with everything that is known of its call, as JSON."""

    async def act() -> int:
        async with open_places(settings) as places:
            for found in await find_letters(places, [call_id]):
                shown: dict[str, Any] = {**facts_of(found.letter)}
                try:
                    shown["exchange"] = await found.letters.read(found.letter)
                except EnvelopeUnreadable as exc:
                    shown["unreadable"] = str(exc)
                print(json.dumps(shown, default=as_json_value, ensure_ascii=False, indent=2))  # noqa: T201
        return 0

    return _run(act)


def retry_dead_letters(settings: Settings, call_ids: Sequence[str], *, everything: bool = False) -> int:
    """Try these again, or all; exit status 1 if one of them stays where it is."""

    async def act() -> int:
        failed = 0
        async with open_places(settings) as places:
            for found in await find_letters(places, None if everything else call_ids):
                problem = await retry_one(settings, found)
                failed += problem is not None
                _say(found.letter, problem or "is tried again")
        return 1 if failed else 0

    return _run(act)


def drop_dead_letters(settings: Settings, call_ids: Sequence[str], *, everything: bool = False) -> int:
    """Delete these for good, or all."""

    async def act() -> int:
        async with open_places(settings) as places:
            for found in await find_letters(places, None if everything else call_ids):
                dropped = await found.letters.drop(found.letter)
                _say(found.letter, "is deleted" if dropped else "was not there any more")
        return 0

    return _run(act)


def _run(act: Callable[[], Coroutine[Any, Any, int]]) -> int:
    try:
        return asyncio.run(act())
    except QueueUnavailable as exc:
        raise ConfigError(str(exc)) from exc


@asynccontextmanager
async def open_places(settings: Settings) -> AsyncIterator[list[_Letters]]:
    """Where dead letters are kept, for as long as the block lasts."""
    places: list[_Letters] = [JournalLetters(DataDir(settings.data_dir).dead_letters)]
    if settings.redis.url is None:
        yield places
        return
    connection = redis.connection(settings)
    try:
        yield [*places, RedisLetters(connection, redis.shards(settings))]
    finally:
        await asyncio.shield(connection.close())


async def all_letters(places: Sequence[_Letters]) -> AsyncIterator[Found]:
    """All of them, place by place."""
    for letters in places:
        async for letter in letters.all():
            yield Found(letter, letters)


async def find_letters(places: Sequence[_Letters], call_ids: Sequence[str] | None) -> list[Found]:
    """Those of these calls, or all. Raises ConfigError if there is none of one of them."""
    found = [each async for each in all_letters(places) if call_ids is None or each.letter.call_id in call_ids]
    missing = set(call_ids or ()) - {each.letter.call_id for each in found}
    if missing:
        raise ConfigError(f"there is no dead letter of {', '.join(sorted(missing))}; `deadletters list` shows all")
    return found


async def retry_one(settings: Settings, found: Found) -> str | None:
    """Try one again; why it stays where it is, or None."""
    data = DataDir(settings.data_dir)
    if isinstance(found.letters, RedisLetters):
        if not await found.letters.retry(found.letter):
            return "was not there any more"
        _count(data, "worker-by-hand", "revived")
        return None
    price, store = make_pricer(settings), open_store(settings)
    try:
        await store.migrate()
        completion = understand(await found.letters.read(found.letter))
        await store.put([replace(completion, cost=price(completion))])
    except (EnvelopeUnreadable, StoreRejected) as exc:
        return f"stays a dead letter: {exc}"
    finally:
        await asyncio.shield(store.close())
    if await found.letters.drop(found.letter):
        _count(data, "store-by-hand", "revived", "stored")
    return None


def _count(data: DataDir, process: str, *names: str) -> None:
    data.prepare()
    with data.claimed("deadletters"):  # one writer per ledger
        ledger = data.ledger(process)
        for name in names:
            ledger.add(name)


def facts_of(letter: DeadLetter) -> dict[str, Any]:
    """What is known of one without its call."""
    return {
        "id": letter.call_id,
        "buried_at": letter.buried_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "deliveries": letter.deliveries,
        "reason": letter.reason,
        "place": letter.place,
    }


def _line(letter: DeadLetter, *, as_json: bool) -> str:
    facts = facts_of(letter)
    if as_json:
        return json.dumps(facts, ensure_ascii=False)
    reason = "".join(character if character.isprintable() else "�" for character in letter.reason)
    shown = reason if len(reason) <= _SHOWN_CHARACTERS else f"{reason[: _SHOWN_CHARACTERS - 1]}…"
    call = letter.call_id if letter.call_id.isprintable() else ascii(letter.call_id)
    return f"{call or '(no id)':36}  {facts['buried_at']}  {letter.deliveries or '-':>3}  {shown}"


def _say(letter: DeadLetter, what: str) -> None:
    sys.stdout.write(f"{letter.call_id or letter.place}: {what}\n")


def as_json_value(value: object) -> object:
    """A value that JSON has no form for, as one that it has."""
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return {"base64": base64.b64encode(value).decode()}
        case array():
            return value.tolist()
        case msgspec.Struct():
            return msgspec.structs.asdict(value)
        case datetime():
            return value.isoformat()
    raise TypeError(f"no JSON form for {type(value)}")
