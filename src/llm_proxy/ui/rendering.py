"""What was recorded, as HTML that can do nothing: Markdown, code and JSON.

Two walls, each enough by itself: the Markdown parser takes no HTML, and what it makes goes through a list of allowed
elements. No image and no link is followed by itself. Long text is shown as it is: to render it takes its time.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from llm_proxy.ui.present import visible

#: Characters of Markdown that are rendered; that takes about a millisecond for each 2 000.
MARKDOWN_CHARACTERS = 50_000
#: Characters of a text in one element: what a browser lays out at once.
_PIECE_CHARACTERS = 20_000
#: Characters of code that are coloured.
_COLOURED_CHARACTERS = 20_000
#: Lexers that are quick and that models write in; no other is loaded on their word.
_LANGUAGES = (
    "bash c c++ cpp css diff go html ini java javascript js json jsx kotlin makefile php python py ruby rust scala sh"
    " shell sql swift toml ts tsx typescript xml yaml yml"
)
_TAGS = "p br hr em strong s code pre span div ul ol li blockquote table thead tbody tr th td a"
#: Elements within each other; the parser leaves out, without a word, what is deeper.
_NESTED = 40
#: What is read from right to left if that is how its text begins.
_EITHER_WAY = {tag: {"dir": "auto"} for tag in ("p", "ul", "ol", "blockquote", "table")}
_formatter: HtmlFormatter[str] = HtmlFormatter(nowrap=True, classprefix="hl-")


class _Renderer(RendererHTML):
    """Headings of a message are not those of the page."""

    def heading_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return '<p class="md-heading">'

    def heading_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return "</p>\n"

    def fence(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        token = tokens[index]
        return f"<pre><code>{code(token.content, token.info.strip().split(' ')[0].lower())}</code></pre>\n"


_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": _NESTED}, renderer_cls=_Renderer)
_markdown.enable(["table", "strikethrough"]).disable(["image"])


def markdown(text: str) -> Markup:
    """``text`` rendered; as it is, if it is too long, or so deep that the parser leaves out what is inside."""
    if len(text) > MARKDOWN_CHARACTERS:
        return plain(text)
    tokens = _markdown.parse(visible(text, lines=True))
    if any(token.level >= _NESTED - 1 for token in tokens):
        return plain(text)
    html = nh3.clean(
        _markdown.renderer.render(tokens, _markdown.options, {}),
        tags=set(_TAGS.split()),
        attributes={"*": set(), "a": {"href"}, "span": {"class"}, "p": {"class"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values=_EITHER_WAY,
    )
    return Markup(f'<div class="md">{html}</div>')  # noqa: S704 - it has just been cleaned


def plain(text: str) -> Markup:
    """``text`` as it is; if it is long, in pieces that a browser lays out only where somebody looks."""
    if len(text) <= _PIECE_CHARACTERS:
        return Markup("<pre>{}</pre>").format(visible(text, lines=True))
    pieces = (Markup("<pre>{}</pre>").format(visible(piece, lines=True)) for piece in _pieces(text))
    return Markup('<div class="pieces">{}</div>').format(Markup("").join(pieces))


def _pieces(text: str) -> Iterator[str]:
    """``text`` in pieces that end with a line, where there is one that ends in time."""
    start = 0
    while start < len(text):
        end = start + _PIECE_CHARACTERS
        line_end = text.rfind("\n", start, end) if end < len(text) else -1
        # The line feed itself is what stands between two pieces.
        yield text[start : end if line_end < 0 else line_end]
        start = end if line_end < 0 else line_end + 1


def code(text: str, language: str) -> Markup:
    """The inside of an element of code, coloured if the language is known."""
    shown = visible(text, lines=True)
    if language not in _LANGUAGES.split() or len(shown) > _COLOURED_CHARACTERS:
        return escape(shown)
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escape(shown)
    # The formatter ends with a line feed of its own.
    return Markup(highlight(shown, lexer, _formatter).removesuffix("\n"))  # noqa: S704 - it escapes


def json_or_text(text: str) -> Markup:
    """Arguments or results of tools: JSON in colours, or else the text as it is."""
    return Markup("<pre><code>{}</code></pre>").format(code(text, "json" if text[:1] in ("{", "[") else ""))
