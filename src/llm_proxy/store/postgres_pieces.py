"""The shared pieces of bodies in PostgreSQL: written once, removed with the last that refers to them.

Any number of writers may add at the same time, and nobody removes meanwhile: who adds holds the lock ``PIECES`` shared,
who removes holds it alone, each to the end of its transaction.
"""

from collections.abc import Callable, Iterable
from typing import Any

import psycopg

from llm_proxy.store.content import Link

#: Key of an advisory lock.
PIECES = 0x6C6C6D70_00000001
_REMOVE_LINKS = """
    DELETE FROM body_links WHERE hash = ANY(%b)
    AND NOT EXISTS (SELECT FROM completion_bodies WHERE tip = body_links.hash)
    AND NOT EXISTS (SELECT FROM body_links AS child WHERE child.parent = body_links.hash)
    RETURNING parent, piece
"""
_REMOVE_PIECES = """
    DELETE FROM body_pieces WHERE hash = ANY(%b)
    AND NOT EXISTS (SELECT FROM body_links WHERE piece = body_pieces.hash)
    RETURNING octet_length(content)
"""
_ADD_PIECES = """
    INSERT INTO body_pieces (hash, content)
    SELECT * FROM unnest(%b::bytea[], %b::bytea[]) ON CONFLICT DO NOTHING
    RETURNING octet_length(content)
"""
_ADD_LINKS = """
    INSERT INTO body_links (hash, parent, piece)
    SELECT * FROM unnest(%b::bytea[], %b::bytea[], %b::bytea[]) ON CONFLICT DO NOTHING
"""
#: Bytes of pieces that one statement carries; it is in memory as a whole on both sides.
_AT_ONCE_BYTES = 16 * 2**20

Cursor = psycopg.Cursor[tuple[Any, ...]]


def add_links(cursor: Cursor, links: Iterable[Link], compress: Callable[[bytes], bytes]) -> list[int]:
    """Write what is not there yet of links and their pieces; only that is compressed. The length of each new piece.

    The caller holds ``PIECES`` shared.
    """
    by_hash = {link.hash: link for link in links}
    if not by_hash:
        return []
    for (known,) in cursor.execute("SELECT hash FROM body_links WHERE hash = ANY(%b)", (list(by_hash),)).fetchall():
        del by_hash[known]
    pieces = {link.piece_hash: link.piece for link in by_hash.values()}
    for (known,) in cursor.execute("SELECT hash FROM body_pieces WHERE hash = ANY(%b)", (list(pieces),)).fetchall():
        del pieces[known]
    # Two that add the same wait for each other, and not in a circle, since both go in the order of the hashes.
    added = _add_pieces(cursor, {piece_hash: compress(pieces[piece_hash]) for piece_hash in sorted(pieces)})
    new = sorted(by_hash.values(), key=lambda link: link.hash)
    columns = [link.hash for link in new], [link.parent for link in new], [link.piece_hash for link in new]
    cursor.execute(_ADD_LINKS, columns)
    return added


def remove_links(cursor: Cursor, tips: Iterable[bytes]) -> list[int]:
    """Remove what of these tips and of all before them nobody refers to; the length of each piece that went.

    The caller holds ``PIECES`` alone.
    """
    pieces: set[bytes] = set()
    ends = list(set(tips))
    while ends:
        removed = cursor.execute(_REMOVE_LINKS, (ends,)).fetchall()
        pieces.update(piece for _, piece in removed)
        # A link may still have another child, which is at its end in a later round or stays.
        ends = list({parent for parent, _ in removed if parent is not None})
    if not pieces:
        return []
    return [length for (length,) in cursor.execute(_REMOVE_PIECES, (list(pieces),)).fetchall()]


def _add_pieces(cursor: Cursor, pieces: dict[bytes, bytes]) -> list[int]:
    """Write those that nobody else has written meanwhile; their lengths."""
    some: dict[bytes, bytes] = {}
    lengths: list[int] = []
    size = 0
    for piece_hash, content in pieces.items():
        some[piece_hash] = content
        size += len(content)
        if size >= _AT_ONCE_BYTES:
            lengths += _add_some(cursor, some)
            some, size = {}, 0
    return lengths + (_add_some(cursor, some) if some else [])


def _add_some(cursor: Cursor, pieces: dict[bytes, bytes]) -> list[int]:
    return [length for (length,) in cursor.execute(_ADD_PIECES, (list(pieces), list(pieces.values()))).fetchall()]
