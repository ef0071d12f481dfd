"""What is remembered on disk: the same answers without sympy, derived anew where the disk does not help."""

import os
import subprocess
import sys
from fractions import Fraction

import pytest

ASK = ("import sys; from toymodels import OneParameter, TwoParameter, predict; e = predict(OneParameter(5))['eta_max']; "
       "m = predict(TwoParameter())['eta_min']; "
       "print(e.fraction('rich'), e.window('rich'), m.logarithm('rich'), e.closing_point(500, 0.1), 'sympy' in sys.modules)")


def asked(cache) -> str:
    return subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True,
                          env=os.environ | {"LAZYRICH_CACHE": str(cache)}).stdout.strip()


def test_the_second_process_needs_no_sympy(tmp_path):
    first, second = asked(tmp_path / "kept"), asked(tmp_path / "kept")
    assert first.endswith("True")
    assert second.endswith("False")
    assert first.rsplit(" ", 1)[0] == second.rsplit(" ", 1)[0]
    assert first.startswith("2/5 (")


@pytest.mark.parametrize("damage", ["not json", "[1, 2]", ""])
def test_a_damaged_or_unwritable_place_is_no_obstacle(tmp_path, damage):
    clean = asked(tmp_path / "kept")
    (file,) = (tmp_path / "kept").iterdir()
    file.write_text(damage)
    assert asked(tmp_path / "kept") == clean
    (tmp_path / "file").write_text("mine")
    assert asked(tmp_path / "file" / "below") == clean
    assert (tmp_path / "file").read_text() == "mine"


def test_a_remembered_exponent_is_the_derived_one():
    from toymodels import OneParameter, predict

    edge = predict(OneParameter(3), "cross_entropy")["eta_max"]
    for regime, exponent in (("lazy", 2), ("rich", Fraction(2, 3))):
        assert edge.scaling(regime).exponent == edge.exponent(regime) == exponent
        assert edge.fraction(regime) == exponent


def test_a_loss_of_one_s_own_is_never_remembered():
    from toymodels import OneParameter
    from toymodels.theory import PseudoHuber, predict

    assert predict(OneParameter(3), PseudoHuber(0.1))["eta_max"].question == ""
