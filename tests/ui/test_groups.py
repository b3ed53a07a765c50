"""The lists of sessions and traces."""

from datetime import timedelta

import pytest
from playwright.async_api import expect

from browsing import hindrances, in_browser, watched
from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Context, Status, Usage
from llm_proxy.model.trace import Kind
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.ui import groups
from reading import HOSTILE, read
from records import NOON, record
from tellings import said


def opened(page):
    return [attrs["href"] for tag, attrs in page.elements if tag == "a" and attrs.get("class") == "open"]


def within(number, **different):
    context = Context(session_id=f"s{number:02}", session_name=f"run {number}", trace_id=f"t{number:02}")
    return record(id=f"{number}", started_at=NOON + timedelta(seconds=number), context=context, **different)


@pytest.mark.parametrize(("path", "kind"), [("/sessions", Kind.SESSION), ("/traces", Kind.TRACE)])
async def test_what_was_used_last_comes_first_and_what_has_no_calls_is_there(client, store, path, kind):
    await SqlTraces(store, completion_of).put("default", "r", [said(kind, "told", name="nobody calls")])
    await store.put([within(1), within(2, status=Status.FAILED)])

    page = await read(client, path)

    assert [to for to in opened(page) if "told" not in to] == [f"{path}/{path[1]}02", f"{path}/{path[1]}01"]
    assert f"{path}/told" in opened(page)
    assert "nobody calls told" in page.text


async def test_pages_lead_to_all_that_programs_told_of_once(client, store):
    told = [said(Kind.TRACE, f"told{number:03}") for number in range(230)]
    await SqlTraces(store, completion_of).put("default", "r", told)
    await store.put([within(number) for number in range(30)])
    path, seen = "/traces", []

    while path is not None:
        page = await read(client, path)
        seen += opened(page)
        path = next((to for to in page.attributes("a", "href") if "after=" in to), None)

    assert sorted(seen) == sorted(
        [*(f"/traces/told{number:03}" for number in range(230)), *(f"/traces/t{number:02}" for number in range(30))]
    )


async def test_tokens_are_told_also_where_no_answer_has_their_sum(client, store):
    usage = Usage(input_tokens=1000, output_tokens=234)
    await store.put([record(context=Context(session_id="s"), usage=usage)])

    assert "1,234" in (await read(client, "/sessions")).text


async def test_pages_lead_to_all_of_them_once(client, store):
    await store.put([within(number) for number in range(60)])

    first = await read(client, "/sessions")
    second = await read(client, next(to for to in first.attributes("a", "href") if "after=" in to))

    assert opened(first) + opened(second) == [f"/sessions/s{number:02}" for number in reversed(range(60))]
    assert "/sessions" in second.attributes("a", "href")


@pytest.mark.parametrize(("path", "kind"), [("/sessions", Kind.SESSION), ("/traces", Kind.TRACE)])
async def test_pages_lead_to_all_that_was_told_of_among_those_with_calls(client, store, path, kind):
    times = [NOON + timedelta(seconds=number) for number in range(240)]
    told = [
        said(kind, f"told-{number:03}", startTimestamp=time.isoformat())
        for number, time in enumerate(times)
        if number % 8
    ]
    await SqlTraces(store, completion_of).put("default", "r", told)
    await store.put([within(number) for number in range(0, 240, 8)])

    found, at = [], path
    while at:
        page = await read(client, at)
        found.append(opened(page))
        at = next((to for to in page.attributes("a", "href") if "after=" in to), None)

    expected = [f"told-{number:03}" if number % 8 else f"{path[1]}{number:02}" for number in reversed(range(240))]
    assert [len(page) for page in found] == [50, 50, 50, 50, 40]
    assert [to.rpartition("/")[2] for page in found for to in page] == expected


@pytest.mark.parametrize("path", ["/sessions", "/traces"])
async def test_an_empty_list_says_how_to_fill_it_and_a_place_that_is_none_is_refused(client, path):
    assert f"export OPENAI_BASE_URL=http://proxy.test:9000/~{path[1:-1]}=" in (await read(client, path)).text
    assert "is no place" in (await read(client, f"{path}?after=x", status=400)).text


@pytest.mark.parametrize("path", ["/sessions", "/traces"])
async def test_a_filter_is_in_the_url_of_every_page_and_says_what_it_lists(client, store, path):
    await store.put([within(number, model="even" if number % 2 == 0 else "odd") for number in range(120)])

    first = await read(client, f"{path}?q=model:even")
    second = await read(client, next(to for to in first.attributes("a", "href") if "after=" in to))

    assert opened(first) + opened(second) == [f"{path}/{path[1]}{number:02}" for number in range(118, -1, -2)]
    assert "with a call that is what the filter says" in first.text
    assert "model:even" in second.attributes("input", "value")
    assert f"{path}?q=model%3Aeven+since%3A7d" in second.attributes("a", "href")
    assert "None is what this filter says" in (await read(client, f"{path}?q=calls:%3E1")).text
    assert "did you mean model:?" in (await read(client, f"{path}?q=modl:x", status=400)).text


async def test_a_page_that_ends_before_it_is_full_says_so(client, store, monkeypatch):
    monkeypatch.setattr(groups, "_PATIENCE_S", 0.0)
    await store.put([within(number) for number in range(60)])

    page = await read(client, "/sessions?q=calls:%3E1")

    assert "until then there are none" in page.text
    assert "Look further back" in page.text


async def test_names_are_nothing_but_text(client, store):
    await store.put([record(context=Context(session_id=HOSTILE, session_name=HOSTILE, trace_id=HOSTILE))])

    for path in ("/sessions", "/traces"):
        page = await read(client, path)
        assert "b" not in {tag for tag, _ in page.elements}
        assert (await client.get(opened(page)[0])).status_code == 200


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_by_keys_one_goes_to_the_sessions_into_one_and_to_its_trace(browser, stand, scheme):
    context = Context(session_id=f"walked-{scheme}", trace_id=f"walked-{scheme}")
    later = NOON + timedelta(days=1000)
    calls = [record(id=f"walked-{scheme}-{place}", started_at=later, context=context) for place in range(3)]
    await stand.put(*calls)
    broken = []
    async with watched(browser, base_url=stand.url, color_scheme=scheme) as page:
        await page.goto("/")
        for key in ("g", "s"):
            await page.keyboard.press(key)
        await page.wait_for_url("**/sessions")
        await page.keyboard.press("/")
        await page.keyboard.type("cal")
        await expect(page.get_by_role("option")).to_contain_text("calls:")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page.locator("#filter")).to_have_value("calls:")
        await page.keyboard.type(f">2 trace:walked-{scheme}")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/sessions?q=*")
        await expect(page.locator("#rows tr")).to_have_count(1)
        await page.locator(".words summary").click()
        broken += await hindrances(page)
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await expect(page.locator("#rows tr")).to_have_count(3)
        broken += await hindrances(page)
        await page.locator(".traces a").click()
        await expect(page.locator(".tree li")).to_have_count(3)
        broken += await hindrances(page)
        await page.keyboard.press("u")
        await page.wait_for_url("**/traces")

    assert broken == []
