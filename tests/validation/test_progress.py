"""Progress: plain lines where there is no terminal, numbers for a function of one's own."""

import pytest

from validation.progress import Progress, bar


def test_lines_where_there_is_no_terminal(capsys):
    with bar(40, "sweeping", "tiles", before=10) as advance:
        for _ in range(28):
            advance()
        advance(failed=1)
        advance(deaths=2)
        advance(0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("sweeping: 40/40 tiles (100%), ")
    assert lines[-1].endswith(" a second, 0 s left, 1 failed, 2 worker deaths")
    assert len(lines) == 1                       # no more than one a second


def test_without_rich_a_terminal_gets_lines(capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rich.progress", None)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with bar(1, "sweeping", "tiles") as advance:
        advance()
    assert "1/1 tiles" in capsys.readouterr().err


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with bar(3, "sweeping", "tiles", before=1) as advance:
        advance(deaths=1)
        advance()
    assert "3/3" in capsys.readouterr().err


def test_numbers_for_a_function(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    states = []
    with bar(10, "", "", lambda state: states.append((state.done, state.rate, state.left)), before=4) as advance:
        clock[0] += 2.0
        advance(2)
        clock[0] += 2.0
        advance(4)
    assert states == [(6, 1.0, 4.0), (10, 1.5, 0.0)]
    assert Progress(5).left == float("inf")


def test_nothing_is_shown_by_default(capsys):
    with bar(2, "sweeping", "tiles", False) as advance:
        advance(2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("seconds", "words"), [(3700, "1 h 1 min left"), (95, "1 min 35 s left")])
def test_times_in_words(capsys, monkeypatch, seconds, words):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with bar(2, "sweeping", "tiles") as advance:
        clock[0] = seconds
        advance()
    assert words in capsys.readouterr().err
