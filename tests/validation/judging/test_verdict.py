"""Verdicts: right claims are supported, wrong ones contradicted, and the rest is undecided."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy
import xarray as xr

from validation.arguments import Misuse
from validation.edges import edges_from_brackets
from validation.fitting.powerlaw import fit
from validation.judging.assessment import assess
from validation.judging.verdict import Verdict, VerdictOutcome, judge
from validation.judging.whole_curve import judge_curve
from validation.prediction import Prediction

GAMMA = np.logspace(1, 4, 25)


def edges(gamma, lower, upper, **attrs):
    bounds = np.stack([lower, upper], -1)[None]
    return xr.Dataset({"eta": (("edge", "gamma", "bound"), bounds)},
                      {"edge": ["eta_max"], "gamma": gamma, "bound": ["lower", "upper"]}, attrs)


def gridded(gamma, log_eta, cell, phase=0.0, **attrs):
    k = np.floor((log_eta - phase) / cell)
    return edges(gamma, 10 ** (k * cell + phase), 10 ** ((k + 1) * cell + phase), **attrs)


class Toy(Prediction):
    """The one-parameter model's eta_max, or its time over T."""

    name, label = "eta_max", "the toy's edge"

    def __init__(self, depth=5, factor=1.0, from_gamma=0.0):
        self.depth, self.factor, self.from_gamma = depth, factor, from_gamma

    def __call__(self, gamma, steps=1000, rho=0.01):
        gamma = np.asarray(gamma, float)
        eta = self.factor * 2 * gamma**2 / (self.depth**2 * (1 + gamma) ** (2 - 2 / self.depth)) * 1000 / steps
        return np.where(gamma >= self.from_gamma, eta, np.nan)

    def exponent(self, regime):
        return 2 if regime == "lazy" else Fraction(2, self.depth)


def traced(prediction, gamma=GAMMA, rtol=1e-6, **attrs):
    eta = prediction(gamma, attrs.get("steps", 1000))
    return edges(gamma, eta * (1 - rtol / 2), eta * (1 + rtol / 2), **attrs)


@pytest.mark.parametrize("claim", [0.4, Fraction(2, 5), sympy.Rational(2, 5), np.float64(0.4)])
def test_a_right_exponent_is_supported(claim):
    verdict = judge(fit(traced(Toy()), "eta_max", (100, 1e4)), claim)
    assert verdict.outcome == VerdictOutcome.SUPPORTED == "SUPPORTED"
    assert verdict.claimed == 0.4
    assert verdict.measured == pytest.approx(0.4, abs=0.01)
    assert verdict.sentence.startswith("eta_max, gamma 100 to 1e+04 (17 gammas): predicted 2/5, measured 0.40")
    assert verdict.sentence.endswith("(95%): SUPPORTED within 0.0333; excludes 1/5, 1/3, 1/2 and 4/5")
    assert verdict.tolerance == pytest.approx((0.4 - 1 / 3) / 2)
    assert verdict.excluded == verdict.rivals == (Fraction(1, 5), Fraction(1, 3), Fraction(1, 2), Fraction(4, 5))
    assert verdict.not_excluded == ()
    assert verdict.regime == "rich"
    assert verdict.how_much_denser is None


def test_a_wrong_exponent_is_contradicted():
    verdict = judge(fit(traced(Toy()), "eta_max", (100, 1e4)), Fraction(2, 3))
    assert verdict.outcome == "CONTRADICTED"
    assert "predicted 2/3" in verdict.sentence


def test_a_prediction_is_compared_over_the_same_gammas():
    """Across the crossover no exponent holds, and the prediction's own slope still does."""
    data = traced(Toy())
    found = fit(data, "eta_max", (10, 100), curve=Toy())
    assert judge(found, 0.4, 0.01).outcome == "CONTRADICTED"
    verdict = judge(found, Toy(), 0.01)
    assert verdict.outcome == "SUPPORTED"
    assert verdict.measured == pytest.approx(verdict.claimed, abs=1e-4)
    assert judge(fit(data, "eta_max", (10, 100), curve=Toy(3)), Toy(3), 0.01).outcome == "CONTRADICTED"


def test_a_verdict_has_the_exponent_and_the_interval_of_the_fit():
    data = gridded(GAMMA, np.log10(Toy()(GAMMA)), 0.1)
    for found in (fit(data, "eta_max", (10, 1e3)), fit(data, "eta_max", (10, 1e3), curve=Toy())):
        verdict = judge(found, Toy())
        assert (verdict.measured, verdict.interval) == (found.exponent, found.interval)
    for assessment in assess(data, {"eta_max": Toy()}):
        assert (assessment.verdict.measured, assessment.verdict.interval) == (assessment.fit.exponent, assessment.fit.interval)


def test_a_bend_that_the_curve_shares_does_not_widen_the_interval():
    data = traced(Toy())
    plain, along = (fit(data, "eta_max", (10, 100), curve=curve) for curve in (None, Toy()))
    assert along.exponent == pytest.approx(plain.exponent, abs=1e-4)
    assert along.interval[1] - along.interval[0] < 1e-3 * (plain.interval[1] - plain.interval[0])
    gamma = np.array([10, 30, 100.0])
    np.testing.assert_allclose(along(gamma), plain(gamma), rtol=1e-4)


def test_the_curves_prefactor_changes_no_fit():
    data = gridded(GAMMA, np.log10(Toy()(GAMMA)), 0.1)
    one, other = (fit(data, "eta_max", (10, 1e3), curve=Toy(factor=factor)) for factor in (1.0, 1e3))
    assert one.exponent == pytest.approx(other.exponent, abs=1e-9)
    assert one.prefactor == pytest.approx(other.prefactor, rel=1e-6)


def test_a_prediction_is_taken_at_the_fits_steps_and_only_where_it_predicts():
    data = traced(Toy(), steps=50)
    found = fit(data, "eta_max", (10, 1e4), curve=Toy(from_gamma=90))
    assert found.steps == 50
    verdict = judge(found, Toy(from_gamma=90), 0.01)
    assert verdict.outcome == "SUPPORTED"
    assert "gamma 100 to 1e+04 (17 gammas)" in verdict.sentence
    # without the curve the edge bends from gamma = 10 on; beyond, it is the gammas without a prediction that are in the way
    for low, high in ((10, 1e4), (50, 200)):
        verdict = judge(fit(data, "eta_max", (low, high)), Toy(from_gamma=90), 0.01)
        assert verdict.outcome == "UNDECIDED"
        assert "curve=prediction" in verdict.sentence
    verdict = judge(fit(data, "eta_max", (10, 1e4), curve=Toy(from_gamma=1e6)), Toy(from_gamma=1e6))
    assert verdict.outcome == "UNDECIDED"
    assert "nothing is predicted" in verdict.sentence


def test_scant_data_are_undecided():
    data = traced(Toy(), gamma=np.logspace(2, 3, 3))
    verdict = judge(fit(data, "eta_max", (100, 1000)), 0.4)
    assert verdict.outcome == "UNDECIDED"
    assert "3 gammas" in verdict.sentence
    data = traced(Toy())
    data["eta"].values[0, 2:, 1] = np.nan
    verdict = judge(fit(data, "eta_max", (10, 1e4)), 0.4)
    assert verdict.outcome == "UNDECIDED"
    assert "both" in verdict.sentence
    absent = traced(Toy())
    absent["eta"].values[:] = np.nan
    for claim in (0.4, Toy()):
        verdict = judge(fit(absent, "eta_max", (10, 1e4)), claim)
        assert verdict.outcome == "UNDECIDED"
        assert "absent" in verdict.sentence
        assert np.isnan(verdict.measured)


def test_how_much_denser_a_grid_decides():
    rng = np.random.default_rng(4)
    tried = decided = 0
    for _ in range(12):
        outcomes, factor = [], 1.0
        for _ in range(2):
            gamma = np.logspace(2, 4, round(8 * factor) + 1)
            cell = 0.5 / factor
            verdict = judge(fit(gridded(gamma, 0.4 * np.log10(gamma), cell, rng.uniform(0, cell)), "eta_max", (100, 1e4)), 0.4)
            outcomes.append(verdict.outcome)
            if verdict.outcome != "UNDECIDED" or verdict.how_much_denser is None:
                break
            assert f"{verdict.how_much_denser:.2g} times denser" in verdict.sentence
            factor = min(verdict.how_much_denser, 30)
        if len(outcomes) == 2:
            tried += 1
            decided += outcomes[1] != "UNDECIDED"
    assert tried >= 4
    assert decided >= 0.6 * tried


def scattered(rng, gamma, exponent, scatter, seeds):
    y = exponent * np.log10(gamma) + rng.normal(0, scatter, (seeds, gamma.size))
    return edges_from_brackets(np.tile(gamma, seeds), 10 ** (y - 0.01).ravel(), 10 ** (y + 0.01).ravel(), "eta_max",
                               np.repeat(np.arange(seeds), gamma.size) if seeds > 1 else None)


def test_how_many_seeds_decide():
    rng, gamma = np.random.default_rng(5), np.logspace(1, 3, 9)
    tried = decided = 0
    for _ in range(12):
        verdict = judge(fit(scattered(rng, gamma, 2 / 3, 0.05, 2), "eta_max"), 2 / 3)
        if verdict.seeds_needed is not None:
            assert f"about {verdict.seeds_needed} seeds would decide" in verdict.sentence
            tried += 1
            decided += judge(fit(scattered(rng, gamma, 2 / 3, 0.05, verdict.seeds_needed), "eta_max"), 2 / 3).outcome != "UNDECIDED"
    assert tried >= 6
    assert decided >= 0.6 * tried


def test_a_neighbour_that_is_not_excluded_is_named_and_blocks_support():
    rng, gamma = np.random.default_rng(0), np.logspace(1, 3, 9)
    found = fit(scattered(rng, gamma, 2 / 7, 0.03, 3), "eta_max")
    found = replace(found, exponent=0.28, interval=(0.248, 0.312), interval90=(0.253, 0.307))
    verdict = judge(found, Fraction(2, 7), 0.05)
    assert verdict.outcome == "UNDECIDED"
    assert Fraction(1, 4) in verdict.not_excluded
    assert "but not 1/4" in verdict.sentence
    # the same data, without rivals
    assert judge(found, Fraction(2, 7), 0.05, rivals=()).outcome == "SUPPORTED"
    assert judge(found, Fraction(2, 7), rivals=[0.9]).excluded == (0.9,)
    for wrong in (3, ["a"], [np.nan]):
        with pytest.raises(Misuse, match="rivals"):
            judge(found, 0.4, rivals=wrong)


@pytest.mark.parametrize("depth", [10, 11, 12, 13, 14])
def test_deep_toys_support_their_own_depth_only(depth):
    """Noise-free edges of L = 12 against 2/10 to 2/14, as numbers and as predictions."""
    gamma = np.logspace(2, 4, 17)
    data = traced(Toy(12), gamma)
    verdicts = [judge(fit(data, "eta_max"), Fraction(2, depth)), judge(fit(data, "eta_max", curve=Toy(depth)), Toy(depth))]
    for verdict in verdicts:
        assert (verdict.outcome == "SUPPORTED") <= (depth == 12), verdict.sentence
    assert (verdicts[1].outcome == "SUPPORTED") == (depth == 12)


class Lazy(Toy):
    """A law that holds by construction in the lazy regime."""

    free_prefactor = True

    def holds_by_construction(self, regime):
        return regime == "lazy"


def test_what_holds_by_construction_is_an_identity_and_can_be_contradicted():
    gamma = np.logspace(-6, -4, 9)
    verdict = judge(fit(traced(Lazy(), gamma), "eta_max", curve=Lazy()), Lazy())
    assert verdict.outcome == VerdictOutcome.IDENTITY == "IDENTITY"
    assert "by construction" in verdict.sentence
    assert judge(fit(traced(Lazy(), gamma), "eta_max"), 2).outcome == "SUPPORTED"      # a number declares nothing
    other = edges(gamma, gamma * 0.99, gamma * 1.01)
    assert judge(fit(other, "eta_max", curve=Lazy()), Lazy()).outcome == "CONTRADICTED"


def test_a_bend_against_the_prediction_contradicts_it_unless_only_its_exponent_is_claimed():
    bent = traced(Toy(5), np.logspace(1, 4, 13))
    bent["eta"] *= 1 + 0.3 * np.exp(-np.log10(bent["gamma"] / 300) ** 2)
    found = fit(bent, "eta_max", curve=Toy(5), window=(10, 1e4))
    assert found.outcome == "UNDECIDED"
    assert "bends against the prediction" in found.reason
    assert np.isfinite(found.exponent)
    assert judge(found, found.curve).outcome == "CONTRADICTED"
    found = fit(bent, "eta_max", curve=Lazy(5), window=(10, 1e4))
    assert judge(found, found.curve).outcome == "UNDECIDED"


def test_far_side_of_a_crossover_is_not_contradicted_by_the_line_across_it():
    """Coarse data that hardly show the bend: a line across it has another exponent than either side."""
    rng, gamma = np.random.default_rng(2), np.logspace(0, 2.5, 11)
    outcomes = []
    for _ in range(30):
        y = 0.5 * np.log10(gamma) - 0.15 * np.log10(1 + 10 ** ((0.8 - np.log10(gamma)) / 0.3)) + rng.normal(0, 0.05, gamma.size)
        outcomes.append(judge(fit(gridded(gamma, y, 0.03), "eta_max"), 0.5).outcome)
    assert outcomes.count("CONTRADICTED") <= 1


def test_copies_of_one_cell_are_named():
    gamma = np.logspace(-4, -2, 9)
    verdict = judge(fit(edges(gamma, 0.9 * gamma**2, 1.1 * gamma**2), "eta_max"), 2)
    assert "all 9 gammas have one cell of eta/gamma^2" in verdict.sentence
    assert "one cell" not in judge(fit(gridded(GAMMA, 0.4 * np.log10(GAMMA), 0.1), "eta_max"), 0.4).sentence


def test_a_claim_on_the_tolerances_rim_is_not_helped_by_density():
    verdict = judge(fit(traced(Toy(), np.logspace(6, 8, 9), rtol=0.1), "eta_max", (1e6, 1e8)), 0.45, 0.05)
    assert verdict.outcome == "UNDECIDED"
    if verdict.how_much_denser is None:
        assert "no grid of reasonable density" in verdict.sentence


@pytest.mark.parametrize("free", [False, True])
def test_a_whole_curve(free):
    data = gridded(np.logspace(-3, 4, 57), np.log10(Toy()(np.logspace(-3, 4, 57))), 0.02, 0.003)
    verdict = judge_curve(data, "eta_max", Toy(), 0.05, free_prefactor=free)
    assert verdict.outcome == "SUPPORTED"
    assert verdict.measured == 0
    assert verdict.interval[1] <= 0.02 + 1e-9
    doubled = judge_curve(data, "eta_max", Toy(factor=2), 0.05, free_prefactor=free)
    assert doubled.outcome == ("SUPPORTED" if free else "CONTRADICTED")
    if not free:
        assert doubled.measured == pytest.approx(np.log10(2), abs=0.02)
    other = judge_curve(data, "eta_max", lambda g: Toy(4)(g), 0.05, free_prefactor=free)
    assert other.outcome == "CONTRADICTED"
    assert "off by at least" in other.sentence


def test_a_coarse_curve_is_undecided_and_says_what_would_help():
    data = gridded(GAMMA, np.log10(Toy()(GAMMA)), 0.125)
    verdict = judge_curve(data, "eta_max", Toy(), 0.05)
    assert verdict.outcome == "UNDECIDED"
    assert 2 < verdict.how_much_denser < 4
    assert "denser in eta" in verdict.sentence


def test_scatter_does_not_contradict_a_right_curve_but_a_wrong_slope_does():
    rng = np.random.default_rng(0)
    right, wrong = [], []
    for _ in range(40):
        y = np.log10(Toy()(GAMMA)) + rng.normal(0, 0.1, GAMMA.size)
        data = gridded(GAMMA, y, 0.02)
        right.append(judge_curve(data, "eta_max", Toy(), 0.05).outcome)
        wrong.append(judge_curve(data, "eta_max", lambda g: Toy()(g) * (g / 300) ** 0.15, 0.05).outcome)
    assert right.count("CONTRADICTED") <= 2
    assert wrong.count("CONTRADICTED") >= 35
    assert wrong.count("SUPPORTED") == 0


def test_a_whole_curve_says_which_gammas_it_covers_and_why_it_is_undecided():
    on, n = np.log10(Toy()(GAMMA)), GAMMA.size
    to_and_fro = (-1.0) ** np.arange(n)
    half = judge_curve(gridded(GAMMA, on, 0.02), "eta_max", lambda g: np.where(g > GAMMA[9], np.nan, Toy()(g)))
    assert half.outcome == "SUPPORTED"
    assert half.tolerance == 0.05
    assert f"(covers 10 of {n} gammas with an edge)" in half.sentence
    censored = gridded(GAMMA, on, 0.02)
    censored["eta"].values[0, 3:5, 1] = np.nan
    scattered = gridded(GAMMA, on + 0.045 * to_and_fro, 0.01)
    slightly = gridded(GAMMA, on + 0.04 * to_and_fro + 0.03, 0.01)
    for data, curve, reason in ((censored, Toy(), "2 of the brackets are censored"), (gridded(GAMMA, on, 0.125), Toy(), "denser in eta"),
                                (scattered, Toy(), "scatter about a smooth curve"), (slightly, Toy(), "within the scatter of the brackets"),
                                (gridded(GAMMA, on, 0.02), Toy(from_gamma=5000), "a verdict needs 4")):
        verdict = judge_curve(data, "eta_max", curve)
        assert verdict.outcome == "UNDECIDED"
        assert reason in verdict.sentence.partition("UNDECIDED within 0.05 decades: ")[2], verdict.sentence


def test_censored_ends_contradict_and_never_support():
    data = traced(Toy())
    data["eta"].values[0, 20:, 1] = np.nan
    assert judge_curve(data, "eta_max", Toy(), 0.05).outcome == "UNDECIDED"
    assert judge_curve(data, "eta_max", lambda g: np.where(g > 3000, 0.1, 1) * Toy()(g), 0.05).outcome == "CONTRADICTED"


def test_a_curve_that_predicts_nothing_is_undecided():
    verdict = judge_curve(traced(Toy()), "eta_max", Toy(from_gamma=5000), 0.05)
    assert isinstance(verdict, Verdict)
    assert verdict.outcome == "UNDECIDED"


FOUND = fit(traced(Toy()), "eta_max", (10, 1e4))


@pytest.mark.parametrize(("call", "says"), [
    (lambda: judge(FOUND, 0.4, 0), "tolerance must be a number between 0"),
    (lambda: judge(FOUND, 0.4, -1), "tolerance"),
    (lambda: judge(FOUND, 0.4, np.nan), "tolerance"),
    (lambda: judge(FOUND, "two"), "claim must be a number or a Prediction, not 'two'"),
    (lambda: judge(FOUND, None), "claim must be a number"),
    (lambda: judge(FOUND, np.nan), "claim must be a finite number"),
    (lambda: judge(0.4, 0.4), "fit must be a PowerLawFit"),
    (lambda: fit(traced(Toy()), "eta_max", curve=np.sqrt), "curve must be a Prediction"),
    (lambda: judge_curve(traced(Toy()), "eta_max", 3.0, 0.05), "curve must be a Prediction or a callable"),
    (lambda: judge_curve(traced(Toy()), "eta_max", lambda g: 1.0, 0.05), "one eta per gamma"),
    (lambda: judge_curve(traced(Toy()), "eta_max", lambda g: -g, 0.05), "above zero"),
    (lambda: judge_curve(traced(Toy()), "eta_max", Toy(), 0), "tolerance"),
    (lambda: judge_curve(traced(Toy()), "eta_min", Toy(), 0.05), "edge must be one of"),
])
def test_misuse_is_one_clear_sentence(call, says):
    with pytest.raises(Misuse, match=says):
        call()


def test_an_exact_law_is_not_taken_for_one_declared_exact():
    """Without scatter both intervals may be one and the same pair; the law judged against a curve then still may bend a little."""
    class Bent(Prediction):
        def __call__(self, gamma, steps=1000, rho=0.01):
            return gamma**2 / np.hypot(1, gamma)

        def exponent(self, regime):
            return 1

    gamma = np.geomspace(30, 1e5, 29)
    exact = edges(gamma, gamma, gamma * (1 + 4e-7))
    for curve in (None, Bent()):
        assert judge(fit(exact, "eta_max", window=(30, 1e5), curve=curve), Bent()).outcome == "SUPPORTED"
    law = fit(exact, "eta_max", window=(30, 1e5), deterministic=True, curve=Bent())
    assert law.outcome == "UNDECIDED"
    assert "bend against the curve" in law.reason


def test_a_logarithm_is_taken_from_both_sides():
    class Logarithmic(Prediction):
        def __call__(self, gamma, steps=1000, rho=0.01):
            return gamma * np.log(gamma)

        def exponent(self, regime):
            return 1

    gamma = np.geomspace(1e3, 1e5, 9)
    eta = gamma * np.log(gamma)
    law = fit(edges(gamma, eta * 0.9999, eta * 1.0001), "eta_max", window=(1e3, 1e5), logarithm=True)
    verdict = judge(law, Logarithmic())
    assert verdict.outcome == "SUPPORTED"
    assert verdict.claimed == pytest.approx(1, abs=1e-9)
    assert verdict.measured == pytest.approx(1, abs=1e-3)


def test_noise_free_brackets_of_a_wrong_curve_are_not_excused_by_scatter():
    gamma = np.geomspace(1, 1e4, 13)
    log = 2 * np.log10(gamma)
    cell = 1 / 8
    low = np.floor((log - 0.618 * cell * np.arange(13)) / cell) * cell + 0.618 * cell * np.arange(13)
    staggered = edges(gamma, 10**low, 10 ** (low + cell))
    assert judge_curve(staggered, "eta_max", lambda g: 2 * g**2, tolerance=0.1).outcome == "CONTRADICTED"
    assert judge_curve(staggered, "eta_max", lambda g: g**2, tolerance=0.13).outcome == "SUPPORTED"


def test_a_verdict_gives_the_defaults_that_it_took():
    class Curve(Prediction):
        def __call__(self, gamma, steps=1000, rho=0.01):
            return gamma**2 / steps

        def exponent(self, regime):
            return 2

    plain = edges(GAMMA, GAMMA**2 / 1e3, GAMMA**2 / 1e3 * 1.001)
    for verdict in (judge(fit(plain, "eta_max", window=(10, 1e4)), Curve()), judge_curve(plain, "eta_max", Curve(), 0.1)):
        assert "at the default T = 1000 and rho = 0.01" in verdict.sentence
    complete = plain.assign_attrs(steps=1000, rho=0.01)
    assert "default" not in judge_curve(complete, "eta_max", Curve(), 0.1).sentence


def test_correlated_scatter_does_not_contradict_a_right_curve():
    rng = np.random.default_rng(1)
    outcomes = []
    for _ in range(60):
        e = rng.normal(size=15)
        for i in range(1, 15):
            e[i] = 0.8 * e[i - 1] + 0.6 * e[i]
        data = gridded(GAMMA[:15], np.log10(Toy()(GAMMA[:15])) + 0.1 * e, 0.02)
        outcomes.append(judge_curve(data, "eta_max", Toy(), 0.05).outcome)
    assert outcomes.count("CONTRADICTED") <= 3


def test_a_rounded_number_has_the_rivals_of_what_it_is_rounded_from():
    rng, gamma = np.random.default_rng(0), np.logspace(0, 3, 13)
    found = fit(scattered(rng, gamma, 1 / 4, 0.01, 3), "eta_max")
    for claim in (0.222, np.float32(2 / 9), 0.286):
        verdict = judge(found, claim)
        assert Fraction(1, 4) in verdict.rivals
        assert verdict.outcome != "SUPPORTED"
    assert "(read as 2/9)" in judge(found, 0.222).sentence
    for wrong in (True, "0.5", "1/2"):
        with pytest.raises(Misuse, match="claim"):
            judge(found, wrong)
    with pytest.raises(Misuse, match="rivals must differ from the claim"):
        judge(found, 0.25, rivals=[0.25])


def test_where_a_bend_keeps_a_contradiction_open_the_sentence_says_so():
    rng = np.random.default_rng(2)
    open_ones = []
    for _ in range(40):
        x = np.linspace(0, 2, 9)
        verdict = judge(fit(gridded(10**x, 0.5 * x + rng.normal(0, 0.03, 9), 0.03), "eta_max"), 2 / 3)
        if verdict.outcome == "UNDECIDED" and verdict.interval[1] < 2 / 3 - verdict.tolerance:
            open_ones.append(verdict)
    assert open_ones
    for verdict in open_ones:
        assert "a bend is not excluded" in verdict.sentence
        assert verdict.seeds_needed is verdict.how_much_denser is None


def test_a_prediction_like_the_fitted_one_is_judged_as_it():
    bent = traced(Toy(5), np.logspace(1, 4, 13))
    bent["eta"] *= 1 + 0.3 * np.exp(-np.log10(bent["gamma"] / 300) ** 2)
    found = fit(bent, "eta_max", curve=Toy(5), window=(10, 1e4))
    assert judge(found, Toy(5)).outcome == "CONTRADICTED"
    assert judge(found, Toy(6)).outcome == "UNDECIDED"
