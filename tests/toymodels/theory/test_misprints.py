"""Every misprint: the printed form fails its check, the true form passes."""

from pathlib import Path

import pytest

from toymodels.theory.misprints import list_errata, render_page


@pytest.mark.parametrize("item", list_errata(), ids=lambda item: item.where)
def test_the_true_form_passes_and_the_printed_one_fails(item):
    assert item.check(item.right)
    assert not item.check(item.wrong)
    assert item.verify()


def test_the_page_has_them_all():
    text = render_page()
    assert (Path(__file__).parents[3] / "docs" / "errata.md").read_text() == text, "write render_page() to docs/errata.md"
    for item in list_errata():
        assert item.where in text
        assert item.printed in text
        assert item.true in text
    assert len(list_errata()) == 10
