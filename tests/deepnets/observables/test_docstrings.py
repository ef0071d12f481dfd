"""The examples in the docstrings of the observables, run as they stand."""

import doctest
import importlib
import pkgutil

import pytest

import deepnets.observables

ROOMS = [m.name for m in pkgutil.iter_modules(deepnets.observables.__path__)]


@pytest.mark.parametrize("room", ROOMS)
def test_examples_give_what_they_say(room):
    assert doctest.testmod(importlib.import_module(f"deepnets.observables.{room}")).failed == 0
