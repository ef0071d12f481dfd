"""CSV of any dialect is read rightly; what can be read in two ways is refused with its row and column."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validation import Misuse, read_runs

NAMES = {"x": "width", "eta": "lr", "loss": "loss"}


def read(tmp_path, text, written="utf-8", **options):
    path = tmp_path / "runs.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(written))
    return read_runs(path, **{**NAMES, **options})


positive = st.floats(1e-300, 1e300)
notes = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(positive, positive, st.floats(allow_nan=False, allow_infinity=False) | st.none(), notes), min_size=1,
                     max_size=5),
       delimiter=st.sampled_from(",;\t|"), comma=st.booleans(), end=st.sampled_from(["\n", "\r\n", "\r"]), quoting=st.sampled_from([0, 1]),
       encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), form=st.sampled_from(["{!r}", "{:.17e}", "+{!r}", " {!r} "]),
       order=st.permutations(range(4)))
def test_what_is_written_in_any_dialect_is_read(tmp_path_factory, rows, delimiter, comma, end, quoting, encoding, form, order):
    """The oracle is Python's own writer."""
    def cell(value):
        text = "" if value is None else form.format(value).replace("+-", "-")
        return text.replace(".", ",") if comma else text

    if any("\r" in row[3] or "\n" in row[3] for row in rows):
        quoting = csv.QUOTE_ALL                                          # the writer does not quote line ends other than its own
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow([["width", "lr", "loss", "note"][i] for i in order])
    writer.writerows([[[cell(a), cell(b), cell(c), note][i] for i in order] for a, b, c, note in rows])
    runs = read(tmp_path_factory.mktemp("csv"), file.getvalue(), encoding, decimal="," if comma else None)
    assert runs["x"].values.tolist() == [row[0] for row in rows]
    assert runs["eta"].values.tolist() == [row[1] for row in rows]
    assert runs["status"].values.tolist() == ["unknown" if row[2] is None else "finished" for row in rows]
    assert [None if np.isnan(v) else v for v in runs["loss"].values.tolist()] == [row[2] for row in rows]


@pytest.mark.parametrize(("text", "x", "eta", "loss"), [
    ("width,lr,loss\n64,.1,1\n", 64, 0.1, 1),
    ("\ufeffwidth,lr,loss\n64,0.1,1\n", 64, 0.1, 1),
    ("width;lr;loss\n64;0,1;1,5\n", 64, 0.1, 1.5),
    ("width;lr;loss\n64;0,1;2,345\n", 64, 0.1, 2.345),
    ('width,lr,loss\n"64","0,1","1,5"\n', 64, 0.1, 1.5),
    ("width\tlr\tloss\n64\t1e-1\t1E0\n", 64, 0.1, 1),
    ("width|lr|loss\n64|1.e-1|+1\n", 64, 0.1, 1),
    ("sep=;\nwidth;lr;loss\n64;0.1;1\n", 64, 0.1, 1),
    ("\n\nwidth,lr,loss\n\n64,0.1,1\n\n\n", 64, 0.1, 1),
    (" width , lr, loss\n 64 , 0.1 , 1 \n", 64, 0.1, 1),
    ('width, "lr", "loss"\n64, "0.1", "1"\n', 64, 0.1, 1),
    ("width,lr,loss,\n64,0.1,1,\n", 64, 0.1, 1),
    ("width,lr,loss\n64,0.1,1,,\n", 64, 0.1, 1),
    ('note,width,lr,loss\n"a, b\n""c""",64,0.1,1\n', 64, 0.1, 1),
    ("width,lr,loss\r64,0.1,1", 64, 0.1, 1),
    ("name,name,width,lr,loss\na,b,64,0.1,1\n", 64, 0.1, 1),
    ("größe;width;lr;loss\nä;64;0.1;1\n".encode("cp1252"), 64, 0.1, 1),
    ("width,lr,loss\n64,0.1,1e308\n", 64, 0.1, 1e308),
    ("width,lr,loss\n64,0.1,-1e-5\n", 64, 0.1, -1e-5),
])
def test_dirt_that_is_read(tmp_path, text, x, eta, loss):
    runs = read(tmp_path, text)
    assert [runs[name].item() for name in ("x", "eta", "loss", "status")] == [x, eta, loss, "finished"]


ROW = "row 3, column 'lr': "
FIRST = "64,0.1,1\n"


@pytest.mark.parametrize(("cell", "why"), [
    ("1e400", "beyond the largest"), ("1e-400", "below the least"), ('"1,024"', "group thousands"), ('"1,024.5"', "group thousands"),
    ("1_000", "is not a number"), ("1 024", "is not a number"), ("0.1s", "is not a number"), ("50%", "is not a number"),
    ("1/16", "is not a number"), ("2^-4", "is not a number"), ("0x10", "is not a number"), ("\u0661", "is not a number"),
    ("\u22121", "is not a number"), ("1d-3", "is not a number"), ("True", "is not a number"), ("lr", "is not a number"),
    ("1.2.3", "is not a number"), ("e5", "is not a number"), (".", "is not a number"), ("=A1", "is not a number"),
    ("--inf", "is not a number"), ("$0.1", "is not a number"), ("0", "not above zero"), ("-0.1", "not above zero"), ("inf", "not finite"),
    ("[0.1]", "is not a number"),
])
def test_a_cell_that_is_refused_with_its_row_and_column(tmp_path, cell, why):
    with pytest.raises(Misuse, match=why) as error:
        read(tmp_path, f"width,lr,loss\n{FIRST}128,{cell},1\n")
    assert ROW in str(error.value)


@pytest.mark.parametrize(("text", "message"), [
    ("width;lr;loss\n64;0,1;1\n128;0.1;1\n", ROW + "'0.1' has a decimal point where others have a decimal comma"),
    ("width;lr;loss\n64;0,1;1\n128;1.024,5;1\n", ROW + "'1.024,5' is not a number"),
    ("width,lr,loss\n64,0.1,1\n128,0.1\n", "row 3 has 2 cells, the header 3"),
    ("width,lr,loss\n64,0,1,1,5\n", "row 2 has 5 cells, the header 3"),
    ('width,lr,loss\n64,"0.1,1\n', "row 2: unexpected end of data"),
    ("width,lr,lr,loss\n64,0.1,0.2,1\n", "several that are called 'lr'"),
    ("width,LR,loss\n64,0.1,1\n", "has no 'lr'; its columns are 'width', 'LR', 'loss'"),
    ("width,learning_rate,loss\n64,0.1,1\n", "its columns are 'width', 'learning_rate', 'loss'"),
    ("width,lr,loss\n", "no run with both 'width' and 'lr'"),
    ("", "is empty"), ("\n \n", "is empty"),
    ("width,lr,loss\n64,0.1,1\n".encode("utf-16-le"), "encoding='utf-16'"),
    (b"PK\x03\x04...", "a spreadsheet"), (b"\x1f\x8b...", "a gzip archive"),
])
def test_a_file_that_is_refused(tmp_path, text, message):
    with pytest.raises(Misuse, match=message):
        read(tmp_path, text)


def test_bytes_of_another_encoding_are_refused_where_they_are_needed(tmp_path):
    text = "width,lr,loss,set\n64,0.1,1,plain\n64,0.2,1,groß\n"
    with pytest.raises(Misuse, match=r"row 3, column 'set': .* is not UTF-8; give encoding"):
        read(tmp_path, text, "cp1252", group="set")
    assert read(tmp_path, text, "cp1252", group="set", encoding="cp1252")["group"].values.tolist() == ["set=plain", "set=groß"]
    with pytest.raises(Misuse, match="row 3: the byte 0xdf is not ascii"):
        read(tmp_path, text, "cp1252", encoding="ascii")
    with pytest.raises(Misuse, match="encoding must be one that Python has"):
        read(tmp_path, text, encoding="no such")


def test_a_decimal_sign_is_never_guessed(tmp_path):
    """1,024 alone may be a thousand or one."""
    text = "width;lr;loss\n1,024;1;1\n"
    with pytest.raises(Misuse, match="row 2, column 'width': '1,024' has a comma that may group thousands"):
        read(tmp_path, text)
    assert read(tmp_path, text, decimal=",")["x"].item() == 1.024
    with pytest.raises(Misuse, match="'0,1'"):
        read(tmp_path, "width;lr;loss\n64;0,1;1\n", decimal=".")


def test_a_delimiter_that_can_be_two_is_refused_and_can_be_given(tmp_path):
    text = "width;a,lr;b,loss\n64;0.1,1\n"
    with pytest.raises(Misuse, match="has no 'width'"):
        read(tmp_path, text)
    runs = read(tmp_path, "width lr loss\n64 0.1 1\n", delimiter=" ")
    assert runs["x"].item() == 64
    with pytest.raises(Misuse, match="delimiter must be one character"):
        read(tmp_path, text, delimiter="::")


def test_a_wide_table_of_ten_thousand_runs_is_read_by_its_columns(tmp_path):
    rng = np.random.default_rng(0)
    lr, loss = rng.uniform(1e-3, 1, 10000).tolist(), rng.uniform(0.1, 1, 10000).tolist()
    lines = [f"{64 * 2 ** (i % 6)},{a!r},text {i},{b!r}" for i, (a, b) in enumerate(zip(lr, loss, strict=True))]
    runs = read(tmp_path, "\n".join(["width,lr,note,loss", *lines]))
    assert runs["eta"].values.tolist() == lr
    assert runs["loss"].values.tolist() == loss
    assert runs["run"].values[[0, -1]].tolist() == ["row 2", "row 10001"]
