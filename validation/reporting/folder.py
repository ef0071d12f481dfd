"""Write one report and one table of verdicts for all portraits of a folder, and replace nothing that another program wrote."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr

from validation.arguments import Misuse, choose
from validation.experiment import hash_json
from validation.plotting.figures import MARKS, image
from validation.plotting.observables import DRAWN
from validation.reporting.html import OUTCOMES, Picture, Section, write_report, write_verdicts
from validation.storage.atomic import publish

REPORT, VERDICTS = "report.html", "verdicts.json"
SIGNS = {REPORT: b'content="lazyrich"', VERDICTS: b'"generator": "lazyrich"'}
ENDINGS = ("", "-final", "-peak", "-final_accuracy", "-edges", *(f"-{name}" for name in DRAWN))      # of the pictures' names
COLUMNS = ("edge", "regime", "window", "n", "predicted", "measured", "interval", "outcome", "sentence")      # that a report shows


def refuse_foreign(folder: str | os.PathLike[str], stems: Iterable[str] = ()) -> None:
    """Raise `Misuse` if `folder` holds a report, verdicts or a picture that lazyrich did not write and must not overwrite.

    Parameters
    ----------
    folder : of the results.
    stems : the beginnings of the names of the pictures that are to be written.
    """
    folder = Path(folder)
    for name, mark in SIGNS.items():
        if mark not in _read(folder / name, mark):
            raise Misuse(f"{folder / name} was not written by lazyrich and is not overwritten; choose another folder")
    read_sections(folder)
    for stem in stems:
        for ending in ENDINGS:
            for suffix in MARKS:
                refuse_picture(folder / f"{stem}{ending}{suffix}")


def refuse_picture(path: Path) -> None:
    """Raise `Misuse` if there is a picture at `path` that lazyrich did not write: it has no mark and stands in no report beside it."""
    mark = MARKS[path.suffix]
    content = _read(path, mark)
    if mark in content:
        return
    with contextlib.suppress(OSError):      # older versions left no mark
        report = (path.parent / REPORT).read_bytes()
        if SIGNS[REPORT] in report and base64.b64encode(content) in report:
            return
    raise Misuse(f"{path} was not written by lazyrich and is not overwritten; choose another folder")


def publish_picture(path: Path, content: bytes) -> Path:
    """Write a picture, in the place of none or of one of lazyrich's, and return its path."""
    refuse_picture(path)
    return publish(path, content)


def publish_figure(path: Path, figure: Any, format: str) -> tuple[bytes, str]:
    """Write a figure as PNG, and beside it in another format; return the picture and its file's name."""
    picture = image(figure)
    if format != "png":
        publish_picture(path.with_suffix(f".{format}"), image(figure, format))
    return picture, publish_picture(path, picture).name


def identify(path: Path, portrait: xr.Dataset) -> tuple[str, str]:
    """Return by what a portrait is known again: digests of its place, and of its experiment and plane."""
    return hash_json(os.fsencode(path.resolve()).hex()), hash_json([str(portrait.attrs.get(k)) for k in ("digest", "plane")])


def refuse_namesake(folder: Path, name: str, identity: Sequence[str]) -> None:
    """Raise `Misuse` if a folder holds verdicts on another portrait of the same name."""
    for section in read_sections(folder):
        if section.portrait == name and section.identity and not any(map(str.__eq__, section.identity, identity)):
            raise Misuse(f"{folder} holds verdicts on another portrait under the name {name!r}, which would be lost; choose another "
                         "folder")


def write_folder(folder: Path, title: str, sections: Iterable[Section], provenance: Mapping[str, Any], with_report: bool = True) -> None:
    """Write report.html and verdicts.json with these sections, and with those of the other portraits that the files held before.

    Parameters
    ----------
    folder, title, sections, provenance : as of `write_report`.
    with_report : whether report.html is written.
    """
    sections = list(sections)
    names, titles = {s.portrait for s in sections}, {s.title for s in sections}
    others = [s for s in read_sections(folder) if (s.portrait not in names if s.portrait else s.title not in titles)]
    if with_report:
        write_report(folder / REPORT, title, [*sections, *others], provenance)
    write_verdicts(folder / VERDICTS, title, [*sections, *others], provenance)


def read_sections(folder: Path) -> list[Section]:
    """Return the sections in a folder's verdicts.json, with their pictures, as far as these exist.

    Raises
    ------
    Misuse : the file is damaged.
    """
    path = folder / VERDICTS
    content = _read(path, b"")
    if not content:
        return []
    try:
        stored = json.loads(content)
        return [_read_section(folder, s, stored["provenance"]) for s in stored["sections"]]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Misuse(f"{path} is damaged ({type(error).__name__}), and the verdicts in it would be lost; restore it, remove it, or "
                     "choose another folder") from None


def _read_section(folder: Path, stored: Mapping[str, Any], provenance: Mapping[str, Any]) -> Section:
    """Return a section as it is stored."""
    rows = tuple(dict(row) for row in stored["verdicts"])
    for row in rows:
        choose("outcome", row["outcome"], OUTCOMES)
        if missing := [c for c in COLUMNS if c not in row]:
            raise KeyError(missing[0])
        numbers = [row["predicted"], row["measured"], *(row["interval"] or ()), *(row["window"] or ())]
        if not all(v is None or isinstance(v, int | float) for v in numbers) or not all(
                row[c] is None or len(row[c]) == 2 for c in ("interval", "window")):
            raise ValueError("numbers")
    pictures = []
    for picture in stored.get("pictures", ()):
        with contextlib.suppress(OSError, Misuse):
            pictures.append(Picture((folder / Path(picture["file"]).name).read_bytes(), **picture))
    return Section(str(stored["title"]), dict(stored["description"]), tuple(pictures), rows, tuple(map(str, stored["notes"])),
                   str(stored.get("portrait", "")), tuple(map(str, stored.get("identity", ()))),
                   dict(stored.get("provenance") or provenance))


def name_section(section: Section, portrait: str, identity: Sequence[str] = ()) -> Section:
    """Return a section under the name of its portrait in the folder."""
    return replace(section, portrait=portrait, identity=tuple(identity))


def _read(path: Path, nothing: bytes) -> bytes:
    """Return a file's content, `nothing` where there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return nothing
    except NotADirectoryError:
        raise Misuse(f"cannot write to {path.parent}: it is not a folder") from None
    except OSError as error:
        raise Misuse(f"{path} cannot be read: {error.strerror}") from None
