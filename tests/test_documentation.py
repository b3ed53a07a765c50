"""What exists in the code stands in the documentation, and the other way round."""

import re
from collections import Counter
from pathlib import Path

import click

from llm_proxy.cli import cli
from llm_proxy.metrics import LEFT_ALONE, exposition

ROOT = Path(__file__).parents[1]
#: The line below the header of a table.
RULE = re.compile(r"\|( *:?-+:? *\|)+")
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

#: Of those that tests/pictures.py takes.
MAX_PICTURE_BYTES = 200_000


def rows_of(document, header):
    """The cells of the table that begins with ``header``, without their backquotes."""
    _, _, table = document.read_text(encoding="utf-8").partition(header)
    lines = table.lstrip("\n").splitlines()[1:]
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip().replace("`", "") for cell in line[1:-1].split("|")]


def test_every_metric_is_documented_and_the_other_way_round():
    text = exposition(Counter({f"{LEFT_ALONE}groq": 1}))
    metrics = {line.split()[2]: line.split(maxsplit=3)[3] for line in text.splitlines() if line.startswith("# HELP")}
    labels = {match[1]: match[2] for match in re.finditer(r"^(\w+)\{(\w+)=", text, re.MULTILINE)}

    documented = list(rows_of(ROOT / "docs" / "operations.md", "| Metric | Label | What it counts |"))

    assert documented == [[name, labels.get(name, ""), help_text] for name, help_text in metrics.items()]


def commands_of(group, prefix):
    """Every command of a group, and those of the groups in it, with its name in full."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def test_every_command_is_documented_with_its_flags():
    commands = {
        name: ", ".join(
            max(parameter.opts, key=len) for parameter in command.params if isinstance(parameter, click.Option)
        )
        for name, command in commands_of(cli, "llm-proxy")
    }

    documented = dict(rows_of(ROOT / "docs" / "operations.md", "| Command | Flags |"))

    assert documented == commands


def test_links_between_documents_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def tables_of(document):
    """The lines of each table, in runs that begin with ``|``; none of what stands in a block of code."""
    prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [run.splitlines() for run in re.findall(r"(?:^\|.*\n)+", prose, re.MULTILINE)]


def test_every_table_has_a_header_and_rows_as_wide_as_it():
    for document in DOCUMENTS:
        for header, *rows in tables_of(document):
            told = f"{document.name}: {header}"
            assert not RULE.fullmatch(header), told
            assert rows, told
            assert RULE.fullmatch(rows[0]), told
            assert not any(RULE.fullmatch(row) for row in rows[1:]), told
            cells = header.count("|") - header.count(r"\|")
            assert [row for row in rows if row.count("|") - row.count(r"\|") != cells] == [], told


def test_every_picture_is_shown_and_small_and_the_other_way_round():
    shown = {
        (document.parent / target).resolve()
        for document in DOCUMENTS
        for target in re.findall(r'(?:src|srcset)="([^"]+)"', document.read_text(encoding="utf-8"))
    }

    there = set((ROOT / "docs" / "pictures").iterdir())

    assert shown == there
    assert [path.name for path in there if path.stat().st_size > MAX_PICTURE_BYTES] == []
