"""The scripts of the pages, each with the hash that the browser holds it to.

What was made by others lies in static/vendor as it is in its package; vendor.toml says from where, under which licence
and with which hash.
"""

import base64
import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
VENDOR = STATIC / "vendor"
#: In the order in which they have to run.
_SCRIPTS = ("htmx.min.js", "hx-sse.min.js", "hx-upsert.min.js")
_OWN_SCRIPTS = ("page.js", "keep.js")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One script of every page."""

    url: str
    #: As in the attribute of this name (Subresource Integrity).
    integrity: str


def integrity(content: bytes) -> str:
    """The hash of ``content`` as a page states it."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def vendored() -> dict[str, str]:
    """The hash that vendor.toml has of each file, by the path below it."""
    packages = tomllib.loads((VENDOR / "vendor.toml").read_text(encoding="utf-8"))["package"]
    return {file["path"]: file["hash"] for package in packages for file in package["file"]}


def scripts() -> tuple[Script, ...]:
    """The scripts of every page, in their order."""
    by_name = {path.rpartition("/")[2]: (path, stated) for path, stated in vendored().items()}
    others = [by_name[name] for name in _SCRIPTS]
    vendored_first = (Script(url=f"/static/vendor/{path}", integrity=stated) for path, stated in others)
    return *vendored_first, *map(script, _OWN_SCRIPTS)


@cache
def vendor(name: str) -> Script:
    """A file of others that only some pages have, by its name."""
    path, stated = next((path, stated) for path, stated in vendored().items() if path.endswith(f"/{name}"))
    return Script(url=f"/static/vendor/{path}", integrity=stated)


@cache
def script(name: str) -> Script:
    """A script of our own, which some pages have and others do not, by the name of its file."""
    own = integrity((STATIC / name).read_bytes())
    # The hash in the URL lets nobody have yesterday's script for today's page.
    return Script(url=f"/static/{name}?{own[7:15]}", integrity=own)
