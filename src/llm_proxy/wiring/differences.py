"""What a new configuration changes in one that is in force, and which processes read that.

Nothing here holds a value: what differs is told by its key.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from llm_proxy.settings.table import NAMED, OPTIONS, Settings

_Section = TypeVar("_Section", bound=BaseModel)

#: Settings that a running program keeps: what it listens on, and where its calls and records are.
FIXED = ("host", "port", "data_dir", "store.url", "store.uploads_dir", "redis", "streams.prefix", "streams.shards")
#: The settings that each role reads, besides those of FIXED: sections, or single ones.
READ_BY = {
    "proxy": (
        "auth",
        "breaker",
        "capture",
        "journal",
        "limits",
        "log",
        "outgoing_proxy",
        "providers",
        "retries",
        "routes",
        "routing",
        "timeouts",
        "tls",
        "upstream",
        "upstream_key",
        "upstream_key_env",
        "upstream_transport",
        "upstreams",
        "usage.streams",
        "workers",
    ),
    "shipper": ("log",),
    "worker": ("log", "pricing", "store", "streams", "timeouts.keep_alive_s", "usage.estimate"),
    "housekeeper": ("log", "retention", "store"),
    "store": (
        "auth",
        "log",
        "oidc",
        "pricing",
        "retention",
        "store",
        "streams",
        "timeouts.keep_alive_s",
        "tls",
        "upstream",
        "upstream_key",
        "upstream_key_env",
        "upstreams",
        "usage.estimate",
    ),
}
#: Settings that name a file, whose content counts as part of them.
_FILES = tuple(key for key in OPTIONS if key[-1].endswith("_file") or key == ("pricing", "file"))


def keeping_fixed(new: Settings, running: Settings) -> tuple[Settings, list[str]]:
    """``new`` with the values of ``running`` where they cannot change, and the keys of which that is so."""
    kept = new
    for key in FIXED:
        kept = _with_value_of(running, kept, key.split("."))
    return kept, _differing(_flat(new), _flat(kept))


def _with_value_of(other: _Section, section: _Section, path: Sequence[str]) -> _Section:
    """``section`` with what ``other`` has at the end of ``path``."""
    name, *rest = path
    value = getattr(other, name)
    return section.model_copy(update={name: _with_value_of(value, getattr(section, name), rest) if rest else value})


def fingerprints(settings: Settings) -> dict[str, str]:
    """A hash of each file that a setting names, by its key; the empty one of what cannot be read."""
    found = {}
    for section, name in _FILES:
        path = getattr(getattr(settings, section), name)
        if path is not None:
            try:
                found[f"{section}.{name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError:
                found[f"{section}.{name}"] = ""
    return found


def changes(new: Settings, running: Settings, *, files: dict[str, str], files_before: dict[str, str]) -> list[str]:
    """The keys that differ, an upstream or a route by its name; and those of files that have another content."""
    keys = _differing(_flat(new), _flat(running))
    keys += [key for key in files if key in files_before and files[key] != files_before[key]]
    return sorted(dict.fromkeys(keys))


def roles_reading(keys: Sequence[str]) -> set[str]:
    """The roles of the processes that read one of these."""
    return {role for role, read in READ_BY.items() if any(_is_part(key, part) for key in keys for part in read)}


def _is_part(key: str, part: str) -> bool:
    return key == part or key.startswith(f"{part}.")


def _flat(settings: Settings) -> dict[tuple[str, ...], object]:
    return dict(_leaves(json.loads(settings.to_json())))


def _leaves(table: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in table.items():
        key = (*prefix, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, key)
        else:
            yield key, value


def _differing(some: dict[tuple[str, ...], object], others: dict[tuple[str, ...], object]) -> list[str]:
    absent = object()
    keys = [key for key in some | others if some.get(key, absent) != others.get(key, absent)]
    return sorted({_shown(key) for key in keys if key not in NAMED})


def _shown(key: tuple[str, ...]) -> str:
    """The key of an option; of what somebody has named, that name."""
    named = next((section for section in NAMED if len(key) > len(section) and key[: len(section)] == section), None)
    return ".".join(key if named is None else key[: len(named) + 1])
