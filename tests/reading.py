"""Pages, read back with a parser."""

import re
from html.parser import HTMLParser

import httpx

#: What must not become anything but text.
HOSTILE = "</title></pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>&amp;{{ 7*7 }} \u202e\x1b[2J"


class Page(HTMLParser):
    """Text and elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.pieces.append(" ")

    def handle_data(self, data):
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.pieces))

    def attributes(self, tag: str, name: str) -> list[str]:
        return [value for element, attrs in self.elements if element == tag and (value := attrs.get(name))]


async def read(client: httpx.AsyncClient, path: str, *, status: int = 200, **headers: str) -> Page:
    """The page at ``path``."""
    response = await client.get(path, headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return Page(response.text)
