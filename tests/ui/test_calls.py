"""The list of calls, from a real store."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from llm_proxy.model.completion import Context, Status
from llm_proxy.model.filters import Filter
from llm_proxy.ui.calls import LATEST, href, lines, place
from llm_proxy.ui.present import DASH
from reading import read
from records import NOON, bare, record, tagged


def many(count, **different):
    return [
        record(id=f"call-{number:03}", started_at=NOON + timedelta(seconds=number), **different)
        for number in range(count)
    ]


def listed(page):
    """The ids of the calls on a page."""
    return [to.removeprefix("/calls/") for to in page.attributes("a", "href") if to.startswith("/calls/")]


def older(page):
    return next((attrs["href"] for tag, attrs in page.elements if tag == "a" and attrs.get("id") == "older"), None)


def newer(page):
    return next((attrs["href"] for tag, attrs in page.elements if tag == "a" and "data-newer" in attrs), None)


async def test_the_first_page_lists_the_latest_calls_and_links_to_each(client, store):
    await store.put(many(60))

    page = await read(client, "/")

    assert listed(page) == [f"call-{number:03}" for number in reversed(range(60 - LATEST, 60))]


async def test_older_links_lead_through_all_calls_and_each_is_seen_once(client, store):
    await store.put([*many(70, model="a"), *many(130, model="b")])
    seen, path = [], "/?q=model:b"

    while path and len(seen) < 200:
        page = await read(client, path)
        seen += listed(page)
        path = older(page) if "Older calls" in page.text and len(listed(page)) == LATEST else None

    assert seen == [f"call-{number:03}" for number in reversed(range(130))]


async def test_newer_links_lead_back_over_the_same_pages_and_end_at_the_live_one(client, store):
    await store.put([*many(10, model="a"), *many(170, model="b")])
    pages = [await read(client, "/?q=model:b")]
    for _ in range(3):
        pages.append(await read(client, older(pages[-1])))

    back = [pages[3]]
    for _ in range(2):
        back.append(await read(client, newer(back[-1])))

    assert [listed(page) for page in back] == [listed(page) for page in pages[:0:-1]]
    response = await client.get(newer(back[-1]))
    assert (response.status_code, response.headers["location"]) == (303, "/?q=model%3Ab")
    assert newer(pages[0]) is None


async def test_an_older_page_leads_back_to_the_newest_with_the_same_filter(client, store):
    await store.put(many(60))
    first = await read(client, "/?q=tag:ci")

    page = await read(client, older(first))

    assert "/?q=tag%3Aci" in page.attributes("a", "href")
    assert "Newest calls" in page.text
    assert not [attrs for tag, attrs in page.elements if "hx-sse:connect" in attrs]


async def test_a_call_in_the_list_says_what_it_was(client, store):
    await store.put([record()])

    page = await read(client, "/")

    for part in ("finished", "24 Nov", "gpt-4o", "What is the capital of France? → Paris.", "nightly", "evening run"):
        assert part in page.text
    assert f"14 3 {DASH} 410 ms 1.25 s" in page.text


async def test_a_failed_call_says_why_and_unknown_numbers_are_dashes(client, store):
    failed = bare(status=Status.FAILED, failure_kind="upstream_timeout", failure_reason="no byte for 600 s")
    await store.put([failed])

    page = await read(client, "/")

    assert "upstream_timeout: no byte for 600 s" in page.text
    assert " ".join(DASH * 6) in page.text


async def test_a_call_that_runs_is_shown_as_running(client, store):
    await store.put([bare()])

    assert "running" in (await read(client, "/")).text


async def test_the_filter_of_the_url_is_applied_and_stands_in_the_bar(client, store):
    await store.put([tagged("nightly", id="1"), tagged("ci", id="2"), tagged("nightly", id="3", model="other")])

    page = await read(client, "/?q=tag%3Anightly+model%3Agpt-4o")

    assert listed(page) == ["1"]
    assert "tag:nightly model:gpt-4o" in page.attributes("input", "value")
    assert "/live?q=tag%3Anightly+model%3Agpt-4o" in page.attributes("div", "hx-sse:connect")


async def test_tags_models_and_sessions_lead_to_what_has_the_same(client, store):
    await store.put([record()])

    page = await read(client, "/?q=tag:ci")

    for to in ("/?q=tag%3Aci+tag%3Anightly", "/?q=tag%3Aci+model%3Agpt-4o", "/sessions/s-1"):
        assert to in page.attributes("a", "href")


async def test_a_text_is_found_in_what_was_said(client, store):
    await store.put([record(id="1"), bare(id="2")])

    assert listed(await read(client, '/?q=text:"capital of france"')) == ["1"]


@pytest.mark.parametrize("written", ["modl:gpt-4o", "hello world", "status:x", '"'])
async def test_a_filter_that_is_not_understood_is_refused_and_kept_in_the_bar(client, store, written):
    await store.put([record()])

    page = await read(client, f"/?q={written}", status=400)

    assert written in page.attributes("input", "value")
    assert listed(page) == []
    assert "true" in page.attributes("input", "aria-invalid")


async def test_a_place_that_is_none_is_refused(client):
    page = await read(client, "/?after=x", status=400)

    assert "'x' is no place in a list" in page.text


@pytest.mark.parametrize("completion_id", ["0192-a", "llm:01/2", "ünï ©"[:3]])
async def test_an_id_in_the_bar_opens_its_call(client, store, completion_id):
    await store.put([record(id=completion_id)])

    response = await client.get("/", params={"q": f" {completion_id} "})

    assert response.status_code == 303
    assert (await client.get(response.headers["location"])).status_code == 200


@pytest.mark.parametrize(("written", "opened"), [("s-9", "/sessions/s-9"), ("t-9", "/traces/t-9"), ("u-9", None)])
async def test_the_id_of_a_session_or_a_trace_opens_that(client, store, written, opened):
    await store.put([record(context=Context(session_id="s-9", trace_id="t-9", user_id="u-9"))])

    response = await client.get("/", params={"q": written})

    assert response.headers.get("location") == opened


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("localhost:8080", "localhost:8080"),
        ("proxy.example.com", "proxy.example.com"),
        ("[::1]:8080", "[::1]:8080"),
        ("127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("a b", "127.0.0.1:8080"),
        ("evil'; rm -rf ~", "127.0.0.1:8080"),
        ("$(id)", "127.0.0.1:8080"),
        ("-x", "127.0.0.1:8080"),
        ("", "127.0.0.1:8080"),
    ],
)
async def test_an_empty_store_says_what_to_do_next_with_the_host_if_it_is_sane(client, host, shown):
    page = await read(client, "/", host=host)

    assert f"export OPENAI_BASE_URL=http://{shown}/v1" in page.text
    assert f"export OPENAI_BASE_URL=http://{shown}/~tags=nightly,ci/v1" in page.text


async def test_a_filter_that_nothing_matches_says_so(client, store):
    await store.put([record()])

    assert "No call is what this filter says" in (await read(client, "/?q=tag:none")).text


def test_the_places_of_calls_sort_as_the_calls_do():
    calls = [record(id=str(number), started_at=NOON + timedelta(microseconds=10**number)) for number in range(13)]

    assert sorted(map(place, calls)) == list(map(place, calls))


def test_a_link_says_the_whole_filter():
    found = Filter((("tag", 'a "b" &c=d#e+f'), ("text", "ü\u202e")))

    given = parse_qs(urlsplit(href(found, after="00-x")).query)

    assert given == {"q": [str(found)], "after": ["00-x"]}


def test_a_tag_that_a_url_cannot_say_still_has_a_line():
    (line,) = lines([tagged("\ud800", id="\ud800")], Filter())

    assert line.tags == (("\ufffd", "/?q=tag%3A%3F"),)
