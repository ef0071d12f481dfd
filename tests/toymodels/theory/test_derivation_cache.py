"""The derivation cache: the same results without sympy, derived anew where a file is damaged or the folder cannot be written."""

import os
import shutil
import subprocess
import sys
from fractions import Fraction

import pytest

SCRIPT = ("import sys; from toymodels import OneParameter, TwoParameter, predict; e = predict(OneParameter(5))['eta_max']; "
       "m = predict(TwoParameter())['eta_min']; "
       "print(e.fraction('rich'), e.window('rich'), m.logarithm('rich'), e.closing_point(500, 0.1), 'sympy' in sys.modules)")


def run_script(cache) -> str:
    return subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True,
                          env=os.environ | {"LAZYRICH_CACHE": str(cache)}).stdout.strip()


@pytest.fixture(scope="module")
def derived(tmp_path_factory):
    """A folder of derivations, and what the process that made them printed."""
    folder = tmp_path_factory.mktemp("derived")
    return folder, run_script(folder)


def test_the_second_process_needs_no_sympy(derived):
    folder, first = derived
    second = run_script(folder)
    assert first.endswith("True")
    assert second.endswith("False")
    assert first.rsplit(" ", 1)[0] == second.rsplit(" ", 1)[0]
    assert first.startswith("2/5 (")


@pytest.mark.parametrize(("damage", "which"), [("not json", 0), ("[1, 2]", 1), ("{\"another\": \"2 0\"}", 0), ("", 1)])
def test_a_damaged_file_is_derived_anew(tmp_path, derived, damage, which):
    folder, clean = derived
    shutil.copytree(folder, tmp_path / "cache")
    files = sorted((tmp_path / "cache").glob("theory-*/*.json"))
    assert len(files) == 2
    files[which].write_text(damage)
    assert run_script(tmp_path / "cache") == clean


def test_an_unwritable_folder_is_no_obstacle(tmp_path, derived):
    (tmp_path / "file").write_text("mine")
    assert run_script(tmp_path / "file" / "below") == derived[1]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_cached_exponent_is_the_derived_one():
    from toymodels import OneParameter, predict

    edge = predict(OneParameter(3), "cross_entropy")["eta_max"]
    for regime, exponent in (("lazy", 2), ("rich", Fraction(2, 3))):
        assert edge.scaling(regime).exponent == edge.exponent(regime) == exponent
        assert edge.fraction(regime) == exponent


def test_a_loss_of_ones_own_is_never_cached():
    from toymodels import OneParameter
    from toymodels.theory import PseudoHuber, predict

    assert predict(OneParameter(3), PseudoHuber(0.1))["eta_max"].cache_key == ""
