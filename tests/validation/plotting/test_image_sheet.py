"""Sheets of pictures: every pixel in its place, and what is refused."""

import numpy as np
import pytest

from validation import Misuse
from validation.plotting.figures import image
from validation.plotting.image_sheet import plot_sheet


def test_every_picture_stands_in_its_row_and_column():
    pictures = np.random.default_rng(0).integers(1, 256, (3, 4, 8, 6))
    figure = plot_sheet(pictures, range(4), "numbers")
    ax, = figure.axes
    page = np.asarray(ax.images[0].get_array())
    for row in range(3):
        for column, tick in enumerate(ax.get_xticks()):
            left = round(tick - 2.5)
            assert (page[9 * row:9 * row + 8, left:left + 6] == pictures[row, column]).all()
    assert (page != 0).sum() == pictures.size
    assert [t.get_text() for t in ax.get_xticklabels()] == list("0123")
    assert image(figure) == image(plot_sheet(pictures, range(4), "numbers"))


@pytest.mark.parametrize(("pictures", "headings", "words"), [
    (np.zeros((2, 3, 4)), (), "shape"), (np.zeros((0, 3, 4, 4)), (), "shape"), (np.zeros((1, 3, 4, 4)), (1, 2), "3 columns, not 2"),
])
def test_misuse_is_named(pictures, headings, words):
    with pytest.raises(Misuse, match=words):
        plot_sheet(pictures, headings)
