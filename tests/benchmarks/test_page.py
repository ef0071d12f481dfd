"""The page of benchmarks is what its data give, and its contestants train."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import network_contest, page, toy_contest

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_measured_data():
    data = json.loads((ROOT / page.DATA).read_text())
    assert (ROOT / page.PAGE).read_text() == page.draw(data)
    assert {row["case"] for row in data["toys"]} == {name for name, *_ in toy_contest.CASES}
    assert "/" not in "".join(data["measured"]["versions"])


def test_operations_are_those_of_five_products_of_two_layers():
    """u's product and the gradient's in both layers, W_0's product and the slope's in the second."""
    assert network_contest.Case(width=8, batch=4, depth=2).operations == 2 * 4 * (2 * 64 * 8 + 4 * 8 * 10)


@pytest.mark.parametrize("contestant", [network_contest.by_loop, network_contest.by_vmap])
def test_contestants_take_time(contestant):
    wall, cpu = contestant(network_contest.Case(width=8, batch=4, runs=2))
    assert wall > 0 < cpu
