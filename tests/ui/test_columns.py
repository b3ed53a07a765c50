"""The columns of a list of calls."""

from llm_proxy.ui.columns import COLUMNS, COOKIE, USUAL, named
from llm_proxy.ui.present import row
from reading import read
from records import bare, record


def headings(page):
    return [attributes["data-label"] for tag, attributes in page.elements if tag == "td" and "data-label" in attributes]


def test_columns_have_the_order_in_which_they_can_be_chosen_and_what_is_none_is_left_out():
    assert [column.name for column in named(["cost,session", "user", "x"])] == ["session", "user", "cost"]


def test_every_column_has_something_of_every_row():
    for call in (record(), bare()):
        assert all(column.of(row(call)) for column in COLUMNS.values())


async def test_the_columns_of_the_url_are_shown_and_kept(client, store):
    await store.put([record()])

    usual = await read(client, "/")
    chosen = await read(client, "/?columns=cost&columns=user,provider")
    later = await read(client, "/sessions/s-1")

    assert headings(usual) == [column.label for column in USUAL]
    assert headings(chosen) == ["User", "Provider", "Cost"]
    assert client.cookies[COOKIE] == "user.provider.cost"
    assert headings(later) == ["User", "Provider", "Cost"]


async def test_the_form_has_what_is_shown_and_keeps_the_filter(client, store):
    await store.put([record()])

    page = await read(client, "/?q=tag:ci&columns=cost")

    boxes = [attributes for tag, attributes in page.elements if attributes.get("type") == "checkbox"]
    assert [box["value"] for box in boxes if "checked" in box] == ["cost"]
    assert {"type": "hidden", "name": "q", "value": "tag:ci"} in [attributes for _, attributes in page.elements]
