"""What is served to browsers is what it is said to be."""

import tomllib
from datetime import UTC, datetime

import httpx
from playwright.async_api import expect

from browsing import in_browser
from grading import new_task
from llm_proxy.model.completion import Context
from llm_proxy.ui.assets import STATIC, VENDOR, integrity, scripts, vendored
from records import BODIES, record


def test_every_vendored_file_is_listed_with_its_hash_and_the_other_way_round():
    there = {
        path.relative_to(VENDOR).as_posix(): integrity(path.read_bytes())
        for path in VENDOR.rglob("*")
        if path.is_file() and path != VENDOR / "vendor.toml"
    }

    assert vendored() == there


def test_every_vendored_package_says_where_it_is_from_and_under_which_licence():
    packages = tomllib.loads((VENDOR / "vendor.toml").read_text())["package"]

    for package in packages:
        folder = f"{package['name']}-{package['version']}"
        assert package["source"].endswith(f"@{package['version']}")
        assert package["licence"]
        assert any(file["path"] == f"{folder}/LICENSE" for file in package["file"])
        assert all(file["path"].startswith(f"{folder}/") for file in package["file"])


def test_no_folder_of_the_vendored_is_left_over_from_another_version():
    packages = tomllib.loads((VENDOR / "vendor.toml").read_text())["package"]

    assert {path.name for path in VENDOR.iterdir() if path.is_dir()} == {
        f"{package['name']}-{package['version']}" for package in packages
    }


def test_the_scripts_of_a_page_are_there_with_the_hash_that_it_states():
    for script in scripts():
        path = STATIC / script.url.removeprefix("/static/").partition("?")[0]

        assert integrity(path.read_bytes()) == script.integrity


#: What one sees of a page that he may have changed: where it is, what is open, and what is filled in.
_STATE = """() => ({
    url: location.href,
    open: [...document.querySelectorAll("main details")].map((one) => one.open),
    filled: [...document.querySelectorAll("main :is(input:not([type=hidden], [type=password]), textarea, select)")]
        .map((one) => ["checkbox", "radio"].includes(one.type) ? one.checked : one.value),
})"""
_CHANGE = """() => {
    for (const one of document.querySelectorAll("main details")) one.open = true;
    for (const one of document.querySelectorAll("form[data-keep] :is(input:not([type]), input[type=text], textarea)"))
        one.value = "kept";
    for (const one of document.querySelectorAll("form[data-keep] :is([type=radio], [type=checkbox])"))
        one.checked = true;
}"""


@in_browser
async def test_every_page_is_as_it_was_left_after_a_reload_and_when_one_comes_back(page, stand):
    context = Context(tags=("walk",), session_id="walk", trace_id="walk", user_id="ann")
    calls = [record(id=f"walk-{n}", context=context, bodies=BODIES, started_at=datetime.now(UTC)) for n in (1, 2)]
    await stand.put(*calls)
    async with httpx.AsyncClient(base_url=stand.url, trust_env=False) as client:
        task = await new_task(client, tags="walk")
    pages = [
        "/?q=tag:walk&columns=user,cost", "/calls/walk-1", "/calls/walk-1?view=raw", "/sessions", "/sessions/walk",
        "/traces", "/traces/walk", "/compare?a=walk-1&b=walk-2&only=differences", "/playground/walk-1",
        "/dashboard?q=tag:walk&period=7d&by=tag", "/export?q=tag:walk", "/views?q=tag:walk", "/shares", "/grading",
        "/grading/new", task, f"{task}/calls/walk-1", "/feedback?session=walk",
        f"{task.replace('grading', 'feedback')}?session=walk", "/pipeline", "/settings",
    ]  # fmt: skip
    left = {}
    for path in pages:
        assert (await page.goto(path)).status == 200, path
        await page.evaluate(_CHANGE)
        left[path] = await page.evaluate(_STATE)
        await page.reload()
        assert await page.evaluate(_STATE) == left[path]

    for path in reversed(pages):
        assert await page.evaluate(_STATE) == left[path]
        await page.go_back()

    assert any(True in one["open"] for one in left.values())
    assert sum("kept" in one["filled"] for one in left.values()) >= 6


@in_browser
async def test_who_follows_a_link_to_a_page_finds_it_as_new(page, stand):
    await page.goto("/grading/new")
    await page.get_by_label("Name").fill("left")
    await page.goto("/grading")
    await page.get_by_role("link", name="New task").click()

    await expect(page.get_by_label("Name")).to_have_value("")


@in_browser
async def test_a_list_that_the_browser_had_kept_whole_is_live_again(page, stand):
    await page.goto("/?q=tag:returned")
    await expect(page.locator("#live-state")).to_have_text("live")

    async with page.expect_request(lambda request: "/live" in request.url):
        await page.evaluate('dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }))')
    await expect(page.locator("#live-state")).to_have_text("live")
    await stand.put(record(id="returned", preview="while away", context=Context(tags=("returned",))))

    await expect(page.locator("#rows a.open")).to_have_text(["while away"])
    assert await page.locator("#tail").count() == 1
