"""Read a table of runs from CSV and TSV: any delimiter, byte-order marks, quoted cells; other encodings only where they are named."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator

from validation.arguments import Misuse
from validation.runs.table import Table

DELIMITERS = (",", ";", "\t", "|")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decode(source: str, data: bytes, encoding: str | None) -> str:
    """Return a file's text. Without an encoding it is that of its byte-order mark, or UTF-8, of which bytes that are wrong become lone
    surrogates: a cell that is needed and has one is refused, others may be in any encoding.

    Raises
    ------
    Misuse : an encoding that does not exist or does not fit.
    """
    if encoding is not None and not isinstance(encoding, str):
        raise Misuse(f"encoding must be the name of one, not {encoding!r}")
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    try:
        if encoding is None:
            text = data.decode(marked) if marked else data.decode("utf-8", "surrogateescape")
        else:
            text = data.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise Misuse(f"encoding must be one that Python has, not {encoding!r}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Misuse(f"{source}, row {line}: the byte 0x{data[error.start]:02x} is not {error.encoding}; give another encoding") from None
    if "\0" in text:
        raise Misuse(f"{source} must be text, but row {text.count(chr(10), 0, text.index(chr(0))) + 1} has a zero byte; "
                     "give encoding='utf-16' if it is that")
    return text


def read_csv(source: str, text: str, needed: list[str], delimiter: str | None = None) -> Table:
    """Return the table; rows are numbered by the lines of the file, the header's included.

    Parameters
    ----------
    source : for messages.
    text : the file's.
    needed : columns that the header must have. They determine the delimiter where none is given.
    delimiter : one character.

    Raises
    ------
    Misuse : no delimiter, or several, fit; a row of another length than the header; a quotation that does not end.
    """
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in "\r\n\"'\0"):
        raise Misuse(f"delimiter must be one character, not {delimiter!r}")
    stated = re.match(r"sep=(.)\r?\n", text)                             # the first line that spreadsheets write
    skipped = 1 if stated else 0
    text = text[stated.end():] if stated else text
    delimiter = delimiter or (stated[1] if stated else _choose_delimiter(source, text, needed))
    lines = _split(source, text, delimiter, skipped)
    _, header = next(lines, (0, []))
    names = [name.strip() for name in header]
    repeated = frozenset(name for name, n in Counter(names).items() if n > 1)
    if repeated & set(needed) or not set(needed) <= set(names):          # the rows may be of another delimiter
        return Table(source, {name: () for name in names}, (), repeated)
    rows, places = [], []
    for line, cells in lines:
        if len(cells) < len(names) or any(cell.strip() for cell in cells[len(names):]):
            raise Misuse(f"{source}, row {line} has {len(cells)} cells, the header {len(names)}")
        rows.append(cells[:len(names)])
        places.append(f"row {line}")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {name: () for name in names}
    return Table(source, columns, places, repeated)


def _split(source: str, text: str, delimiter: str, skipped: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, with the line at which it begins."""
    reader, line = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True), 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line + skipped, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise Misuse(f"{source}, row {line + skipped}: {error}") from None


def _choose_delimiter(source: str, text: str, needed: list[str]) -> str:
    """Return the only delimiter with which the header has all columns needed."""
    headers = {}
    for delimiter in DELIMITERS:
        try:
            headers[delimiter] = [name.strip() for name in next(_split(source, text, delimiter), (0, []))[1]]
        except Misuse:
            continue
    fitting = [delimiter for delimiter, names in headers.items() if set(needed) <= set(names)]
    if len(fitting) > 1 and needed:
        raise Misuse(f"delimiter must be given: the header of {source} can be read with each of {', '.join(map(repr, fitting))}")
    if fitting and needed:
        return fitting[0]
    # none has all names, or none is needed: the one with most columns, whose names the message about a missing one lists
    return max(headers, key=lambda d: len(headers[d]), default=",")
