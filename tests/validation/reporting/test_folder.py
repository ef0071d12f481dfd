"""Several portraits in one folder of results, and files of others there."""

from __future__ import annotations

import json

import pytest

from validation import Misuse
from validation.plotting.figures import blank, image
from validation.reporting.folder import (
    name_section,
    publish_picture,
    read_sections,
    refuse_foreign,
    refuse_namesake,
    write_folder,
)
from validation.reporting.html import Picture, Section

OURS = image(blank(1, 1))
THEIRS = OURS.replace(b"Software\0lazyrich", b"Software\0anothers")
ROW = {"edge": "eta_max", "regime": "rich", "window": (1e-4, 1.0), "n": 9, "predicted": 2.0, "measured": 2.0, "interval": (1.9, 2.1),
       "tolerance": 0.05, "outcome": "SUPPORTED", "sentence": "it fits"}


def section(folder, name, **more):
    publish_picture(folder / f"{name}.png", OURS)
    return name_section(Section(f"title of {name}", {"rho": 0.1}, (Picture(OURS, "alt", "caption", f"{name}.png"),), (ROW,), ("note",)),
                        name, more.get("identity", ("here", "this")))


def test_reports_and_verdicts_hold_all_portraits_of_the_folder(tmp_path):
    write_folder(tmp_path, "first", [section(tmp_path, "a")], {"command": "of a"})
    write_folder(tmp_path, "second", [section(tmp_path, "b")], {"command": "of b"})
    write_folder(tmp_path, "third", [section(tmp_path, "b")], {"command": "of b again"})
    content = json.loads((tmp_path / "verdicts.json").read_text())
    assert [s["title"] for s in content["sections"]] == ["title of b", "title of a"]
    assert [s.provenance["command"] for s in read_sections(tmp_path)] == ["of b again", "of a"]
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert all(text in page for text in ("title of a", "title of b", "of a", "of b again"))


def test_verdicts_of_an_older_version_are_kept(tmp_path):
    old = {"generator": "lazyrich", "title": "t", "provenance": {"created": "then"}, "sections": [
        {"title": "old", "description": {}, "verdicts": [ROW], "notes": []}]}
    (tmp_path / "verdicts.json").write_text(json.dumps(old, indent=1))
    write_folder(tmp_path, "new", [section(tmp_path, "a")], {})
    assert [s.title for s in read_sections(tmp_path)] == ["title of a", "old"]


@pytest.mark.parametrize("name", ["a.png", "a-edges.png", "a-final.png", "a-hessian.png"])
def test_pictures_of_others_are_left_as_they_are(tmp_path, name):
    (tmp_path / name).write_bytes(THEIRS)
    with pytest.raises(Misuse, match=f"{name} was not written by lazyrich"):
        refuse_foreign(tmp_path, ["a"])
    with pytest.raises(Misuse, match="not overwritten"):
        publish_picture(tmp_path / name, OURS)
    assert (tmp_path / name).read_bytes() == THEIRS
    refuse_foreign(tmp_path, ["b"])


def test_pictures_without_a_mark_are_known_by_the_report(tmp_path):
    write_folder(tmp_path, "t", [Section("s", figures=(Picture(THEIRS, "alt"),))], {})
    (tmp_path / "a.png").write_bytes(THEIRS)
    refuse_foreign(tmp_path, ["a"])


@pytest.mark.parametrize("content", [
    '{"generator": "lazyrich"}', '"generator": "lazyrich"', '{"generator": "lazyrich", "provenance": {}, "sections": 3}',
    '{"generator": "lazyrich", "provenance": {}, "sections": [{"title": "t", "description": {}, "verdicts": [{}], "notes": []}]}',
    '{"generator": "lazyrich", "provenance": {}, "sections": [' + "[" * 100_000])
def test_damaged_verdicts_are_refused_before_anything_is_written(tmp_path, content):
    (tmp_path / "verdicts.json").write_text(content)
    with pytest.raises(Misuse, match="damaged"):
        refuse_foreign(tmp_path)
    assert (tmp_path / "verdicts.json").read_text() == content


def test_another_portrait_of_the_same_name_is_refused(tmp_path):
    write_folder(tmp_path, "t", [section(tmp_path, "a")], {})
    refuse_namesake(tmp_path, "a", ("here", "grown"))
    refuse_namesake(tmp_path, "a", ("moved", "this"))
    with pytest.raises(Misuse, match="another portrait under the name 'a'"):
        refuse_namesake(tmp_path, "a", ("there", "that"))


def test_texts_of_any_characters_are_written(tmp_path):
    title = "\x1b[31m \udc80 \x9b <b> $x$ \u2028"
    write_folder(tmp_path, title, [Section(title, {title: title}, notes=(title,))], {"command": title})
    text = (tmp_path / "verdicts.json").read_text() + (tmp_path / "report.html").read_text()
    assert all(c.isprintable() or c == "\n" for c in text)
    [read] = read_sections(tmp_path)
    assert (read.title, read.notes) == (title, (title,))
