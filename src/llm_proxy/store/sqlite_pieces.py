"""The shared pieces of bodies in SQLite: written once, removed with the last that refers to them.

Everything in here runs in a transaction that has begun to write, so that nobody else writes or removes meanwhile.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from llm_proxy.store.content import Link

#: Values of one statement: a few for the walk along a history, many for a batch, and always as many, so that SQLite
#: need not compile it again.
_FEW, _MANY = 4, 200
#: Stands for as many question marks.
_HASHES = "(*)"
_KNOWN_LINKS = f"SELECT hash FROM body_links WHERE hash IN {_HASHES}"  # noqa: S608
_KNOWN_PIECES = f"SELECT hash FROM body_pieces WHERE hash IN {_HASHES}"  # noqa: S608
_REMOVE_LINKS = f"""
    DELETE FROM body_links WHERE hash IN {_HASHES}
    AND NOT EXISTS (SELECT 1 FROM completion_bodies WHERE tip = body_links.hash)
    AND NOT EXISTS (SELECT 1 FROM body_links AS child WHERE child.parent = body_links.hash)
    RETURNING parent, piece
"""  # noqa: S608
_REMOVE_PIECES = f"""
    DELETE FROM body_pieces WHERE hash IN {_HASHES}
    AND NOT EXISTS (SELECT 1 FROM body_links WHERE piece = body_pieces.hash)
    RETURNING length(content)
"""  # noqa: S608


def add_links(connection: sqlite3.Connection, links: Iterable[Link], compress: Callable[[bytes], bytes]) -> list[int]:
    """Write what is not there yet of links and their pieces; only that is compressed. The length of each new piece."""
    by_hash = {link.hash: link for link in links}
    for known in _select(connection, _KNOWN_LINKS, list(by_hash)):
        del by_hash[known[0]]
    pieces = {link.piece_hash: link.piece for link in by_hash.values()}
    for known in _select(connection, _KNOWN_PIECES, list(pieces)):
        del pieces[known[0]]
    new_pieces = [(piece_hash, compress(piece)) for piece_hash, piece in pieces.items()]
    connection.executemany("INSERT INTO body_pieces (hash, content) VALUES (?, ?)", new_pieces)
    new_links = [(link.hash, link.parent, link.piece_hash) for link in by_hash.values()]
    connection.executemany("INSERT INTO body_links (hash, parent, piece) VALUES (?, ?, ?)", new_links)
    return [len(content) for _, content in new_pieces]


def remove_links(connection: sqlite3.Connection, tips: Iterable[bytes]) -> list[int]:
    """Remove what of these tips and of all before them nobody refers to; the length of each piece that went."""
    pieces: set[bytes] = set()
    ends = list(set(tips))
    while ends:
        removed = list(_select(connection, _REMOVE_LINKS, ends))
        pieces.update(piece for _, piece in removed)
        # A link may still have another child, which is at its end in a later round or stays.
        ends = list({parent for parent, _ in removed if parent is not None})
    return [length for (length,) in _select(connection, _REMOVE_PIECES, list(pieces))]


def _select(connection: sqlite3.Connection, statement: str, hashes: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
    count = _FEW if len(hashes) <= _FEW else _MANY
    statement = statement.replace(_HASHES, f"({', '.join('?' * count)})")
    for start in range(0, len(hashes), count):
        some = hashes[start : start + count]
        yield from connection.execute(statement, [*some, *[None] * (count - len(some))]).fetchall()
