import os
import pty
import subprocess
import sys
import termios

import pytest

from llm_proxy.wiring.progress import progress
from running import PATIENCE_S, bare_environment

SHOW = """
from llm_proxy.wiring.progress import progress
with progress("importing", {arguments}) as advance:
    advance(100)
"""


@pytest.fixture
def on_terminal(tmp_path):
    """What a terminal is sent while something is 100 far."""

    def on_terminal(arguments):
        screen, stderr = pty.openpty()
        termios.tcsetwinsize(stderr, (24, 100))
        code = SHOW.format(arguments=arguments)
        environment = bare_environment(tmp_path) | {"TERM": "xterm"}
        subprocess.run([sys.executable, "-c", code], stderr=stderr, env=environment, timeout=PATIENCE_S, check=True)
        os.close(stderr)
        shown = b""
        try:
            while piece := os.read(screen, 2**16):
                shown += piece
        except OSError:  # on Linux, the end of a terminal nobody writes to
            pass
        os.close(screen)
        return shown.decode()

    return on_terminal


@pytest.mark.parametrize(("total", "shown"), [(200, "50%"), (None, "100/?")])
def test_a_terminal_shows_how_far_it_is(on_terminal, total, shown):
    screen = on_terminal(f"total={total}")

    assert "importing" in screen
    assert shown in screen


def test_when_it_is_done_the_bar_is_gone_and_the_cursor_back(on_terminal):
    screen = on_terminal("total=100")

    assert screen.rindex("\x1b[?25h") > screen.rindex("importing")
    assert screen.endswith("\x1b[2K")


def test_where_the_terminal_is_wanted_for_records_there_is_no_bar(on_terminal):
    assert on_terminal("total=200, wanted=False") == ""


def test_what_is_no_terminal_gets_nothing(capsys):
    with progress("importing", total=5) as advance:
        advance(5)

    assert capsys.readouterr() == ("", "")
