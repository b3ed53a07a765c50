"""The house rules that a machine can hold: who imports whom, how long things are, and that each file has its tests."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "llm_proxy"
TESTS = ROOT / "tests"

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

#: Who may import whom: a room is a folder or a file of the package. The README's map shows the same arrows.
ARROWS = {
    # Facts: these import nothing of ours.
    "model": set(),
    "errors": set(),
    "metrics": set(),
    "log": set(),
    "assignment": set(),
    "handover": set(),
    "priority": set(),
    "demo": set(),
    "settings": set(),
    # Rooms with one concern each.
    "config": {"errors", "settings"},
    "attribution": {"errors", "model"},
    "decode": {"errors", "model"},
    "pricing": {"errors", "model"},
    "journal": {"errors", "metrics", "model"},
    "store": {"errors", "metrics", "model"},
    "queue": {"errors", "journal", "log", "metrics", "model"},
    "transfer": {"errors", "model"},
    "proxy": {"attribution", "errors", "journal", "log", "metrics", "model"},
    # What goes through several of them.
    "understand": {"attribution", "decode", "errors", "model"},
    "worker": {"errors", "log", "metrics", "model", "queue", "store", "understand"},
    "shipper": {"errors", "journal", "log", "metrics", "model", "queue"},
    "key_watch": {"errors", "log", "model", "store"},
    "retention": {"errors", "log", "metrics", "model", "store"},
    # Faces on the store.
    "api": {"decode", "errors", "metrics", "model", "store"},
    "ui": {"api", "decode", "errors", "model", "store"},
    "tables": {"model", "ui"},
    # Processes.
    "child": {"assignment", "log", "settings"},
    "app_server": {"child", "handover"},
    "child_process": {"assignment", "log", "priority"},
    "supervisor": {"assignment", "child_process", "log", "metrics"},
}
#: Besides these, which know everything: the one place that constructs things, and the commands.
TOP = {"wiring": set(ARROWS) | {"wiring"}, "cli": {"config", "errors", "wiring"}, "__main__": {"cli"}}

#: Arrows that are narrower than their room: only these files of the target may be imported.
NARROW = {
    ("proxy", "journal"): {"writer", "format"},
    ("proxy", "attribution"): {"path", "vocabulary"},
    ("api", "store"): {"base"},
    ("api", "decode"): {"socket_events"},
    ("ui", "decode"): {"body", "replay", "socket_events"},
    ("ui", "store"): {"base"},
    ("ui", "api"): {"json_schema", "login", "login_begun", "login_link", "person", "seal"},
    ("worker", "store"): {"base"},
    ("retention", "store"): {"base", "deletion"},
    ("key_watch", "store"): {"base"},
    ("worker", "queue"): {"base"},
}
#: Technologies that stand beside each other and do not know each other, by the beginning of their files' names.
STRANGERS = {"store": ("sqlite", "postgres", "clickhouse"), "queue": ("in_journal", "redis")}

#: Test files that belong to no source file of their own name.
ABOUT_THE_WHOLE = {
    "test_architecture",
    "test_native_bytes",
    "test_promises",
    "test_killed",
    "test_killed_sessions",
    "test_faults",
    "test_documentation",
    "test_deployment",
}
#: What is data, or tested by what uses it.
WITHOUT_OWN_TESTS = {"__init__.py", "__main__.py"}


def sources():
    return sorted(path for path in SOURCE.rglob("*.py"))


def named(path):
    return path.relative_to(SOURCE).as_posix()


def module_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return tuple(part for part in parts if part != "__init__")


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path):
    """What a file imports of ours, each as a tuple of names below the package."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "llm_proxy":
            base = tuple(node.module.split(".")[1:])
            for alias in node.names:
                yield (*base, alias.name) if is_module((*base, alias.name)) else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "llm_proxy":
                    yield tuple(alias.name.split(".")[1:])


def is_module(names):
    place = SOURCE.joinpath(*names)
    return place.with_suffix(".py").is_file() or place.is_dir()


def room_of(module):
    return module[0] if module else ""


def test_every_room_is_on_the_plan():
    rooms = {room_of(module_of(path)) for path in sources()} - {""}

    assert rooms == set(ARROWS) | set(TOP)


@pytest.mark.parametrize("path", sources(), ids=named)
def test_imports_follow_the_arrows(path):
    room = room_of(module_of(path))
    allowed = (ARROWS | TOP).get(room, set()) | {room, ""}

    for target in imports_of(path):
        assert room_of(target) in allowed, f"{named(path)} imports {'.'.join(target)}"
        narrow = NARROW.get((room, room_of(target)))
        assert narrow is None or target[1] in narrow, f"{named(path)} imports {'.'.join(target)}, beyond {narrow}"


def test_the_arrows_have_no_cycle():
    seen, order = set(), []

    def visit(room, trail):
        assert room not in trail, f"a cycle: {' -> '.join([*trail, room])}"
        if room not in seen:
            for target in sorted(ARROWS[room]):
                visit(target, [*trail, room])
            seen.add(room)
            order.append(room)

    for room in ARROWS:
        visit(room, [])
    assert set(order) == set(ARROWS)


@pytest.mark.parametrize("room", STRANGERS)
def test_technologies_side_by_side_do_not_know_each_other(room):
    for path in (SOURCE / room).glob("*.py"):
        mine = next((name for name in STRANGERS[room] if path.stem.startswith(name)), None)
        for target in imports_of(path):
            if mine and target[:1] == (room,) and len(target) > 1:
                theirs = next((name for name in STRANGERS[room] if target[1].startswith(name)), mine)
                assert theirs == mine, f"{named(path)} imports {'.'.join(target)}"


def test_the_proxy_process_loads_nothing_that_understands_or_stores():
    """What it does not load cannot slow it down, and cannot be exploited in it."""
    loaded, waiting = set(), [("wiring", "proxy")]
    while waiting:
        module = waiting.pop()
        if module not in loaded:
            loaded.add(module)
            place = SOURCE.joinpath(*module)
            waiting += imports_of(place / "__init__.py" if place.is_dir() else place.with_suffix(".py"))

    rooms = {room_of(module) for module in loaded}

    assert rooms & {"store", "api", "ui", "decode", "understand", "worker", "queue", "config", "cli"} == set()


@pytest.mark.parametrize("path", sources(), ids=named)
def test_a_file_says_what_it_is_and_is_not_too_long(path):
    lines = path.read_text(encoding="utf-8").count("\n")

    assert lines <= MAX_FILE_LINES
    assert ast.get_docstring(tree_of(path)) or lines == 0


@pytest.mark.parametrize("path", sources(), ids=named)
def test_functions_are_short(path):
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    long = [node.name for node in functions if node.end_lineno - node.lineno >= MAX_FUNCTION_LINES]

    assert long == []


@pytest.mark.parametrize("path", [path for path in sources() if path.name not in WITHOUT_OWN_TESTS], ids=named)
def test_each_source_file_has_a_test_file(path):
    place = path.relative_to(SOURCE)

    assert (TESTS / place.parent / f"test_{place.name}").is_file()


def test_each_test_file_has_its_source_file():
    for path in TESTS.rglob("test_*.py"):
        place = path.relative_to(TESTS)
        if path.stem not in ABOUT_THE_WHOLE and place.parts[0] not in ("sdk", "bench"):
            source = SOURCE / place.parent / path.name.removeprefix("test_")
            assert source.is_file(), f"{place} tests nothing of its name"


def test_the_map_in_the_readme_shows_every_room():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rooms = {room_of(module_of(path)) for path in sources()} - {"", "__main__"}

    missing = [room for room in sorted(rooms) if f"  {room}.py" not in readme and f"  {room}/" not in readme]

    assert missing == []
