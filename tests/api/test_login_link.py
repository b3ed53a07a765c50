"""A link that logs in once."""

import time

from llm_proxy.api import login_link
from llm_proxy.api.login_link import issue, redeem


def test_a_link_logs_in_once(tmp_path):
    token = issue(tmp_path / "link")

    assert not redeem(tmp_path / "link", "another")
    assert redeem(tmp_path / "link", token)
    assert not redeem(tmp_path / "link", token)


def test_a_new_link_replaces_the_one_before(tmp_path):
    old, new = issue(tmp_path / "link"), issue(tmp_path / "link")

    assert not redeem(tmp_path / "link", old)
    assert redeem(tmp_path / "link", new)


def test_a_link_is_not_good_for_ever(tmp_path, monkeypatch):
    token = issue(tmp_path / "link")
    later = time.time() + login_link.LIFE_S + 1
    monkeypatch.setattr(time, "time", lambda: later)

    assert not redeem(tmp_path / "link", token)


def test_what_lies_on_the_disk_logs_nobody_in_and_is_for_its_owner_only(tmp_path):
    token = issue(tmp_path / "link")

    assert token not in (tmp_path / "link").read_text()
    assert (tmp_path / "link").stat().st_mode & 0o077 == 0
    assert not redeem(tmp_path / "link", (tmp_path / "link").read_text().split()[0])


def test_without_a_link_nobody_is_logged_in(tmp_path):
    (tmp_path / "broken").write_text("this is none")

    assert not redeem(tmp_path / "none", "")
    assert not redeem(tmp_path / "broken", "this")
