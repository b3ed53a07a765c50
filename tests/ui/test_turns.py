"""Turns as the page shows them."""

from llm_proxy.ui.conversation import Kind, Part, Turn
from llm_proxy.ui.picture import picture_name
from llm_proxy.ui.turns import Rendering


def shown(*parts, **options):
    given = {"raw": False, "limit": 1000} | options
    return Rendering(**given).turn(Turn(role="user", parts=parts)).parts


def test_a_part_that_is_too_long_is_cut_and_says_by_how_much():
    (part,) = shown(Part(kind=Kind.TEXT, text="x" * 1200))

    assert part.hidden == 200


def test_markdown_is_rendered_until_a_page_has_as_much_as_it_bears():
    parts = shown(*(Part(kind=Kind.TEXT, text="**x** " * 8000) for _ in range(8)), limit=100_000)

    rendered = ["<strong>" in part.html for part in parts]
    assert rendered[0]
    assert not rendered[-1]


def test_a_picture_or_sound_that_is_too_large_for_a_page_is_told_by_its_size():
    url = "data:image/png;base64," + "A" * 4_000_000

    (part,) = shown(Part(kind=Kind.IMAGE, text=url))

    assert (part.url, part.label) == (None, "image, 3.0 MB")


def test_a_picture_that_is_large_is_at_its_address_and_a_small_one_in_the_page():
    small, large = (f"data:image/png;base64,{'A' * length}" for length in (1000, 4_000_000))

    parts = shown(*(Part(kind=Kind.IMAGE, text=url) for url in (small, large)), pictures_at="/calls/1?picture=")

    assert [part.url for part in parts] == [small, f"/calls/1?picture={picture_name(large)}"]
