"""Tags over HTTP, from a real store."""

from datetime import timedelta

from records import NOON, tagged


async def test_tags_are_listed_with_how_many_calls_have_them(api, database):
    later = NOON + timedelta(minutes=1)
    await database.put([tagged("b", "a"), tagged("a", started_at=later)])

    answer = (await api.get("/api/v1/tags")).json()

    assert answer == {
        "tags": [
            {"tag": "a", "calls": 2, "first_at": NOON.isoformat(), "last_at": later.isoformat()},
            {"tag": "b", "calls": 1, "first_at": NOON.isoformat(), "last_at": NOON.isoformat()},
        ],
        "next": None,
    }


async def test_they_are_found_by_how_they_begin_a_page_at_a_time(api, database):
    await database.put([tagged("env", "env:prod", "env:test", "é\x00", "x")])
    params, seen = {"prefix": "env", "limit": 2}, []

    while params.get("cursor", "") is not None:
        answer = (await api.get("/api/v1/tags", params=params)).json()
        seen.append([tag["tag"] for tag in answer["tags"]])
        params["cursor"] = answer["next"]

    assert seen == [["env", "env:prod"], ["env:test"]]
    everything = (await api.get("/api/v1/tags", params={"prefix": "é\x00"})).json()
    assert [tag["tag"] for tag in everything["tags"]] == ["é\x00"]


async def test_a_cursor_of_another_list_is_refused(api):
    answer = await api.get("/api/v1/tags", params={"cursor": "W10"})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "cursor")
