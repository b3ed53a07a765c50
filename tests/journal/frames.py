"""Frames for the tests of the journal, as the proxy writes them."""

from uuid import UUID

from llm_proxy.journal.format import Answer, Closing, Frames, Kind, Opening, encode
from llm_proxy.model.exchange import Ending, Endpoint, new_id

#: 2026-01-01, in microseconds since 1970.
WALL_US = 1_767_225_600_000_000

OPENING = Opening(method="POST", target=b"/v1/chat/completions", endpoint=Endpoint.CHAT, headers=[(b"Host", b"h")])
ANSWER = Answer(200, [(b"Content-Type", b"text/event-stream")], 1500)


class Recording:
    """One exchange as its frames are made; each method returns frames to be appended."""

    def __init__(self, opening: Opening = OPENING) -> None:
        self.id = new_id()
        self._opening = opening

    def open(self, request: bytes = b"{}") -> Frames:
        return self._frames((Kind.OPEN, WALL_US, encode(self._opening)), (Kind.REQUEST, 10, request))

    def answer(self, answer: Answer = ANSWER) -> Frames:
        return self._frames((Kind.RESPONSE, 20, encode(answer)))

    def chunk(self, piece: bytes, time_us: int = 30) -> Frames:
        return self._frames((Kind.CHUNK, time_us, piece))

    def skipped(self, size: int, time_us: int = 30) -> Frames:
        return self._frames((Kind.SKIPPED, time_us, size.to_bytes(4, "little")))

    def close(self, ending: Ending = Ending.COMPLETE, reason: str | None = None) -> Frames:
        return self._frames((Kind.CLOSE, 90, encode(Closing(ending, reason, 2))))

    def all(self, piece: bytes = b"data: 1\n\n") -> Frames:
        """The whole of it, in one."""
        frames = Frames(UUID(self.id).bytes)
        for part in (self.open(), self.answer(), self.chunk(piece), self.close()):
            frames.parts += part.parts
            frames.size += part.size
        return frames

    def _frames(self, *frames: tuple[Kind, int, bytes]) -> Frames:
        made = Frames(UUID(self.id).bytes)
        for kind, time_us, payload in frames:
            made.add(kind, time_us, payload)
        return made


def wire(*frames: Frames) -> bytes:
    """The bytes that the writer puts down."""
    return b"".join(part for one in frames for part in one.parts)
