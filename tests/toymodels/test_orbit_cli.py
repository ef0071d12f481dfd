"""`lazyrich orbit`: its table and picture, its range of rates, and what it refuses."""

import pytest

import lazyrich
from validation.plotting.figures import MARKS


def test_it_prints_the_changes_of_period_and_draws(tmp_path, capsys):
    assert lazyrich.run(["orbit", "--points", "40", "--settle", "300", "--out", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[1:6]] == ["2", "4", "8", "16", "chaos"]
    assert printed.splitlines()[2].split()[2] == "1.23606798"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["orbit.png"]
    assert MARKS[".png"] in (tmp_path / "new" / "orbit.png").read_bytes()


def test_where_runs_escape_it_says_so(tmp_path, capsys):
    assert lazyrich.run(["orbit", "--optimizer", "momentum", "--points", "8", "--settle", "300", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "-" in printed.splitlines()[2].split()
    assert "Every run from the start escapes, at rates from" in printed


def test_two_parameters_have_no_table(tmp_path, capsys):
    assert lazyrich.run(["orbit", "--model", "two", "--points", "8", "--settle", "200", "--out", str(tmp_path), "--format", "svg",
                         "--width", "3.3", "--rescale", "eta_div"]) == 0
    assert capsys.readouterr().out.startswith("Written to ")
    assert {p.name for p in tmp_path.iterdir()} == {"orbit.png", "orbit.svg"}
    assert ' width="237.6pt"' in (tmp_path / "orbit.svg").read_text()


def test_a_foreign_picture_stays(tmp_path, capsys):
    (tmp_path / "orbit.png").write_bytes(b"mine")
    assert lazyrich.run(["orbit", "--out", str(tmp_path)]) == 2
    assert "was not written by lazyrich" in capsys.readouterr().err
    assert (tmp_path / "orbit.png").read_bytes() == b"mine"


@pytest.mark.parametrize(("arguments", "words"), [
    (["--loss", "both"], "loss must be one loss"), (["--optimizer", "adam"], "optimizer"), (["--points", "3"], "points must be"),
    (["--rescale", "eta_opt"], "rescale must be one of 'gamma2', 'eta_min'"), (["--width", "1"], "width"),
    (["--gamma", "0"], "gamma must be"),
    (["--eta", "2", "1"], "eta"), (["--model", "two", "--gamma", "0.1", "--depth", "3"], "depth")])
def test_misuse_is_refused(arguments, words, tmp_path, capsys):
    assert lazyrich.run(["orbit", *arguments, "--out", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
