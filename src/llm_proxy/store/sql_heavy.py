"""Records with their bodies, or what a search finds in these: rows, the links that they refer to, and the pieces."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, RowMapping

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.completion import Completion
from llm_proxy.store import sql
from llm_proxy.store.bodies import decompress
from llm_proxy.store.rows import to_completion
from llm_proxy.store.search import Searcher

#: Hashes that are asked for at a time; SQLite takes 32 766 values in a statement.
_HASHES = 500


def heavy(
    connection: Connection, rows: Sequence[RowMapping], searcher: Searcher | None, *, with_bodies: bool
) -> Iterator[tuple[Completion, bool]]:
    """Each record, and whether what is searched for is in it."""
    histories = histories_of(connection, [row["tip"] for row in rows if row["tip"] is not None])
    if searcher is not None:
        unknown = searcher.unknown(piece for history in histories.values() for piece in history)
        for piece_hash, compressed in pieces_of(connection, unknown).items():
            searcher.learn(piece_hash, compressed)
    matching = [searcher is None or searcher.matches(row["content"], histories.get(row["tip"], ())) for row in rows]
    wanted = {
        piece
        for row, matches in zip(rows, matching, strict=True)
        if matches and with_bodies
        for piece in histories.get(row["tip"], ())
    }
    pieces = pieces_of(connection, list(wanted))
    for row, matches in zip(rows, matching, strict=True):
        history = histories.get(row["tip"], ())
        if matches and with_bodies:
            yield to_completion(row, [decompress(pieces[piece]) for piece in history]), True
        else:
            yield to_completion(row), matches


def histories_of(connection: Connection, tips: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    """The hashes of the pieces that each of ``tips`` stands for, in order."""
    links: dict[bytes, tuple[bytes | None, bytes]] = {}
    for some in _some(list(dict.fromkeys(tips))):
        links |= {link: (parent, piece) for link, parent, piece in connection.execute(sql.links(some))}
    return {tip: _history(tip, links) for tip in tips}


def _history(tip: bytes, links: dict[bytes, tuple[bytes | None, bytes]]) -> list[bytes]:
    history: list[bytes] = []
    link: bytes | None = tip
    while link is not None:
        if link not in links:
            raise StoreUnavailable(f"the store is damaged: the link {link.hex()} of a body is missing")
        link, piece = links[link]
        history.append(piece)
    return history[::-1]


def pieces_of(connection: Connection, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
    """What these hashes are of, compressed."""
    pieces: dict[bytes, bytes] = {}
    for some in _some(hashes):
        pieces |= {found.hash: found.content for found in connection.execute(sql.pieces(some))}
    if missing := next((piece for piece in hashes if piece not in pieces), None):
        raise StoreUnavailable(f"the store is damaged: the piece {missing.hex()} of a body is missing")
    return pieces


def _some(hashes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(hashes), _HASHES):
        yield hashes[start : start + _HASHES]
