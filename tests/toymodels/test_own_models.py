"""Models and losses of one's own: against the built-in ones, fifty digits, plain loops and closed forms."""

import pickle

import mpmath
import numpy as np
import pytest
import sympy

from toymodels import Adam, HeavyBall, Loss, Model, OneParameter, ToyExperiment, TwoParameter, gradient_flow_time, predict, trajectory
from toymodels.own.expressions import read_expression
from toymodels.own.files import load_own
from toymodels.own.functions import generate
from toymodels.own.loss import as_formula, solve_minimum
from validation.arguments import Misuse

w, v, gamma, f, y = sympy.symbols("w v gamma f y", real=True)
CUBE = Model((w**3 - 1) / gamma, {w: 1})
TWO = Model(v * w / gamma, {w: sympy.sqrt(2), v: 0})
GAMMA = np.geomspace(1e-8, 1e8, 17)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_edges_equal_those_of_the_built_in_models(loss):
    for own, built_in, stable in ((CUBE, OneParameter(3), "eta_max"), (TWO, TwoParameter(), "eta_crit")):
        ours, theirs = predict(own, loss), predict(built_in, loss)
        np.testing.assert_allclose(ours["eta_min"](GAMMA), theirs["eta_min"](GAMMA), rtol=1e-9)
        np.testing.assert_allclose(ours[stable](GAMMA), theirs[stable](GAMMA), rtol=1e-9)
        np.testing.assert_allclose(gradient_flow_time(own, loss, GAMMA), gradient_flow_time(built_in, loss, GAMMA), rtol=1e-9)


def test_exponents_are_those_of_sympy_or_have_an_error():
    edges = predict(CUBE)
    assert edges["eta_max"].exponent("lazy") == 2
    assert edges["eta_max"].exponent("rich") == sympy.Rational(2, 3)
    measured = edges["eta_min"].law("rich")
    assert 0 < measured.error < 1e-4
    assert abs(measured.exponent - 1) < measured.error
    logarithm = predict(TWO)["eta_min"].law("rich")
    assert logarithm.logarithm
    assert abs(logarithm.exponent - 1) < max(logarithm.error, 1e-3)
    assert predict(TWO)["eta_crit"].unjudged == pytest.approx((0.03, 30), rel=0.5)


def test_a_portrait_and_a_run_equal_those_of_the_built_in_model():
    eta = np.geomspace(1e-13, 1e3, 61)
    ours, theirs = (ToyExperiment(m, "mse", "sgd", 200).measure(np.array([1e-5, 0.3, 40.0]), eta) for m in (CUBE, OneParameter(3)))
    calm = theirs["outcome"].isin([0, 1, 2, 6]).values
    assert calm.mean() > 0.8
    assert (ours["outcome"].values == theirs["outcome"].values)[calm].all()
    close = calm & np.isfinite(theirs["final_excess"].values)
    for name in ("final_excess", "tail_excess", "peak_excess", "kernel_ratio"):
        np.testing.assert_allclose(ours[name].values[close], theirs[name].values[close], rtol=1e-6, atol=1e-12)
    # Adam's epsilon is in units of 1/gamma for both
    for optimizer, gamma, rate in ((HeavyBall(0.8), 1e-9, 3e-20), (Adam(epsilon=0.3), 1e6, 1.0)):
        ours, theirs = (trajectory(m, "mse", optimizer, gamma, rate, 40) for m in (CUBE, OneParameter(3)))
        for name in ("f", "loss", "excess", "sharpness", "kernel", "w"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-13)


def test_a_run_away_from_the_origin_equals_a_plain_loop():
    """A start that depends on gamma, an output that does not start at 0, a target, a loss that is no parabola."""
    model = Model((w**2 * v + sympy.exp(w) - 2) / gamma, {w: sympy.Rational(1, 2), v: gamma / 10}, target=3.0)
    run = trajectory(model, Loss(sympy.sqrt(1 + (f - y) ** 2), f, y), "sgd", 0.7, 0.02, 60)
    a, b, outputs = 0.5, 0.07, []
    for _ in range(61):
        out = (a * a * b + np.exp(a) - 2) / 0.7
        outputs.append(out)
        slope = (out - 3) / np.hypot(1, out - 3)
        a, b = a - 0.02 * slope * (2 * a * b + np.exp(a)) / 0.7, b - 0.02 * slope * a * a / 0.7
    np.testing.assert_allclose(run["f"], outputs, rtol=1e-12)
    np.testing.assert_allclose(run["excess"], (np.hypot(1, np.array(outputs) - 3) - 1) / (np.hypot(1, outputs[0] - 3) - 1), rtol=1e-9,
                               atol=1e-14)
    assert run["excess"][-1] < 1e-30       # where the plain difference has no digits left


ATTENTION = v * sympy.exp(w) / (sympy.exp(w) + 1) / gamma
NORMALIZED = v * w / sympy.sqrt(w**2 + y**2) / gamma


@pytest.mark.parametrize(("output", "start"), [
    (ATTENTION, {v: 0, w: 1}), (NORMALIZED, {v: 1, w: 0, y: 1}), ((sympy.sqrt(1 + w) - 1) / gamma, {w: 0}),
    (v * sympy.tanh(w) / gamma, {v: 1, w: 0}), ((sympy.cos(w) - sympy.cos(1)) / gamma, {w: 1}),
    ((w ** sympy.Rational(7, 3) - 1) / gamma, {w: 1}), ((sympy.log(w) + sympy.cosh(v) - 1) / gamma, {w: 1, v: 0}),
    ((sympy.exp(w) - sympy.E) / gamma, {w: 1}),
    (sympy.Max(w, 0) * v / gamma, {w: 1, v: 0}), ((sympy.Abs(w) ** sympy.Rational(3, 2) - 1) / gamma, {w: 1}),
])
def test_differences_have_all_their_digits(output, start):
    model = Model(output, start)
    generated = generate(model, as_formula_of_mse())
    names = {s.name: s for s in output.free_symbols}
    for g in (1e-8, 1.0, 1e4):
        move = np.array([0.3e-8, -0.2e-8, 0.5e-8])[:len(model.start)] * min(g, 1.0) * 1e8 / 3
        found = [float(np.ravel(x)[0]) for x in generated.numpy["evaluate_output"](generated.constants_of(np.array([g]))[0], *move)]
        with mpmath.workdps(50):
            at = {names[s.name]: sympy.Rational(k) for s, k in model.start.items()}
            exact = sympy.lambdify([*at, gamma], [output, *(sympy.diff(output, s) for s in at)], "mpmath")
            begin = exact(*(mpmath.mpf(str(k)) for k in at.values()), mpmath.mpf(g))
            end = exact(*(mpmath.mpf(str(k)) + mpmath.mpf(float(d)) for k, d in zip(at.values(), move, strict=True)), mpmath.mpf(g))
        assert found[0] == pytest.approx(float(end[0] - begin[0]), rel=1e-10, abs=1e-30)
        np.testing.assert_allclose(found[1:], [float(x) for x in end[1:]], rtol=1e-12, atol=1e-12 / g)


def as_formula_of_mse():
    from toymodels import MSE

    return as_formula(MSE())


def test_a_form_that_cancels_is_reported():
    with pytest.warns(RuntimeWarning, match="loses digits at gamma"):
        generate(Model((sympy.erf(w) - sympy.erf(1)) / gamma, {w: 1}), as_formula_of_mse())


@pytest.mark.parametrize(("formula", "least", "curvature"), [
    ((f - y) ** 4, 1.0, 0.0), (sympy.Abs(f - y) ** sympy.Rational(3, 2), 1.0, np.inf), (sympy.exp(f) - 2 * f, np.log(2), 2.0),
    (sympy.Piecewise(((f - y) ** 2, sympy.Abs(f - y) < 1), (2 * sympy.Abs(f - y) - 1, True)), 1.0, 2.0)])
def test_the_minimum_of_a_loss(formula, least, curvature):
    found = solve_minimum(Loss(formula, f, y), 1.0)
    assert float(found.value) == pytest.approx(least, rel=1e-15)
    assert found.curvature == pytest.approx(curvature, rel=1e-10)
    assert ("eta_crit" in predict(CUBE, Loss(formula, f, y))) == (0 < curvature < np.inf)


def test_a_loss_of_ones_own_with_a_built_in_model():
    loss = Loss((f - y) ** 2 / 2, f, y)
    for model in (OneParameter(2), TwoParameter()):
        ours, theirs = (trajectory(model, x, "sgd", 0.5, 0.1, 30) for x in (loss, "mse"))
        np.testing.assert_allclose(ours["f"], theirs["f"], rtol=1e-12, atol=1e-14)


def test_stored_text_is_data_and_gives_the_model_back():
    model = Model((w ** sympy.Rational(3, 2) * sympy.exp(0.1 * v) - sympy.Max(1, w) * sympy.pi) / gamma, {w: 2.5, v: 1 / (1 + gamma)}, 0.3)
    loss = Loss(sympy.Piecewise(((f - y) ** 2, f < y), (f - y, True)), f, y, minimum=y)
    experiment = ToyExperiment(model, loss)
    assert ToyExperiment.of(experiment.describe()) == experiment
    assert pickle.loads(pickle.dumps(experiment)) == experiment
    assert hash(Model.of(model.describe())) == hash(model)
    for text in ("__import__('os')", "w.real", "lambda: 1", "9**9**9**9", "exec(w)", "w" * 5000, "(" * 300):
        with pytest.raises(Misuse):
            read_expression("output", text, ["w"])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Model(w**3 - 1, {w: 1}), "must depend on the symbol gamma"),
    (lambda: Model((w - 1) ** 2 / gamma, {w: 1}), "there it vanishes"),
    (lambda: generate(Model(w / gamma + 1, {w: 0}), as_formula_of_mse()), "start must not be a minimum"),
    (lambda: Loss(f - y, f, y), "must have a minimum"),
    (lambda: Loss(sympy.exp(-f * y), f, y), "must have a minimum"),
    (lambda: Loss((f - y) ** 2 * (f - y - 3) ** 2, f, y), "from both sides"),
    (lambda: Model(sum(sympy.symbols("a:9")) / gamma, dict.fromkeys(sympy.symbols("a:9"), 1)), "1 to 8 parameters, not 9"),
    (lambda: Model(sympy.sqrt(w - 2) / gamma, {w: 1}), "complex"),
    (lambda: Model(sympy.log(w) / gamma, {w: 0}), "must be finite"),
    (lambda: Model(w * v / gamma, {w: 1}), "it also has v"),
    (lambda: ToyExperiment(type("Mine", (OneParameter,), {})(3)), "toymodels.Model"),
    (lambda: Model(w / gamma, None), "start must map each parameter"),
    (lambda: Model(w / gamma, [w]), "start must map each parameter"),
    (lambda: Model(nest(11, sympy.tanh) / gamma, {w: 1}), "at most 10 functions within each other"),
    (lambda: Model(sum(sympy.sin(k * w) for k in range(1, 201)) / gamma, {w: 1}), "at most 500 operations, not 599"),
    (lambda: Model((w**1001 - 1) / gamma, {w: 1}), "exponents of at most 1000"),
    (lambda: Model(sympy.Piecewise((w, w < 2)) / gamma, {w: 1}), "end its cases"),
    (lambda: Model(sympy.Max(w, 0) / gamma, {w: 0}), "there it vanishes"),      # where runs have the slope 0, and sympy 1/2
    (lambda: Model(sympy.Symbol("lambda") / gamma, {sympy.Symbol("lambda"): 1}), "names are Python's"),
    (lambda: Model(sympy.Symbol("\ufb01") / gamma, {sympy.Symbol("\ufb01"): 1}), "names are Python's"),       # a ligature, to Python "fi"
    (lambda: trajectory(Model(1e200 * w / gamma, {w: 1})), "start must have a finite loss"),
    (lambda: Loss(sympy.Piecewise(((f - y) ** 2, f > y)), f, y), "end its cases"),
    *((lambda e=e: Loss((f - y) ** 2, f, y, minimum=e), "minimum must be a finite real number")
      for e in (sympy.sqrt(y - 2), 1 / (y - 1), sympy.log(y - 1))),
])
def test_bad_models_and_losses_are_refused_in_one_sentence(make, message):
    with pytest.raises(Misuse, match=message):
        make()


def nest(depth, function):
    e = w
    for _ in range(depth):
        e = function(e)
    return e


def test_numbers_of_any_type_start_a_model():
    assert {Model((w**2 - 1) / gamma, {w: kind(2)}) for kind in (int, float, np.int64, np.float32, sympy.Integer)} == {
        Model((w**2 - 1) / gamma, {w: 2})}


@pytest.mark.parametrize("change", [
    {"output": f"{'tanh(' * 60}w{')' * 60}/gamma"}, {"output": 3}, {"output": "Max()*w/gamma"}, {"start": [["w", "1"], ["w", "2"]]},
    {"start": [["w"]]}, {"start": 3}, {"start": {"w": "1"}}, {"start": []}, {"start": [["w", None]]}, {"target": "1"}, {"odd": 3}],
    ids=lambda c: str(c)[:30])
def test_an_odd_description_of_a_model_is_refused(change):
    with pytest.raises(Misuse):
        Model.of(CUBE.describe() | change)


@pytest.mark.parametrize("description", [
    {"name": "huber", "formula": "(f - y)**4"}, {"name": "own"}, {"name": "own", "formula": "(f - y)**4", "odd": 3},
    {"name": "own", "formula": "(f - y)**4", "minimum": "sqrt(-1)"}], ids=str)
def test_an_odd_description_of_a_loss_is_refused(description):
    with pytest.raises(Misuse):
        Loss.of(description)


@pytest.mark.filterwarnings("ignore:the output .* loses digits")
@pytest.mark.parametrize(("output", "start"), [
    (sympy.sign(w) * w, 2), (sympy.Max(2 * w, 3 - sympy.Max(w, 1 - 4 * w)), 1),
    (sympy.exp(-sympy.exp(-sympy.exp(-w))), 1)])        # at some states the exponent has more digits than there is memory
def test_kinks_within_kinks_and_exponentials_within_exponentials(output, start):
    generated = generate(Model(output / gamma, {w: start}), as_formula_of_mse())
    move = 0.1 + 0.2 * np.arange(5)
    found = generated.numpy["evaluate_output"](generated.constants_of(np.array([10.0]))[0], move)
    exact = [float((output.subs(w, start + sympy.Float(m)) - output.subs(w, start)) / 10) for m in move]
    np.testing.assert_allclose(found[0], exact, rtol=1e-10)


def test_a_time_that_rounding_hides_is_not_predicted():
    """So near to the minimum no step of the integration is small enough, which took minutes for each gamma."""
    assert np.isnan(predict(CUBE)["eta_min"](np.array([0.1, 1.0]), rho=1e-30)).all()


@pytest.mark.filterwarnings("error")
def test_predictions_reach_other_processes():
    for name, edge in predict(CUBE).items():
        assert predict(CUBE)[name].generated is pickle.loads(pickle.dumps(edge)).generated


@pytest.mark.parametrize(("text", "message"), [
    ("import sys; sys.exit(0)", "fails with SystemExit: 0"), ("raise BaseException('odd')", "fails with BaseException: odd"),
    ("raise MemoryError", "fails with MemoryError"), ("m = (", "fails with SyntaxError"),
    ("def __getattr__(name): raise RuntimeError('odd')", "fails with RuntimeError: odd"),
    ("class X:\n  def __repr__(self): raise RuntimeError('odd')\nm = X()", "fails with RuntimeError: odd"),
    ("m = '\\x1b[2J[red]' * 10**5", "'m' in .* is ")], ids=range(7))
def test_a_file_of_ones_own_that_fails_is_refused_in_a_sentence(text, message, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(Misuse, match=message) as caught:
        load_own("model", f"{path}:m", Model)
    assert len(str(caught.value)) < 2500
    assert str(caught.value).isprintable()


def test_the_command_line_takes_a_file_and_a_name(tmp_path, capsys):
    import lazyrich

    path = tmp_path / "mine.py"
    path.write_text("import sympy, toymodels\nw, gamma = sympy.symbols('w gamma')\ncube = toymodels.Model((w**3 - 1)/gamma, {w: 1})\n")
    assert lazyrich.run(["predict", "--model", f"{path}:cube", "--loss", "mse", "--derive"]) == 0
    assert "the local exponent tends to 2/3 (by sympy)" in capsys.readouterr().out
    for text, message in ((f"{path}:square", "is not there"), (f"{tmp_path}/none.py:cube", "there is no file"),
                          ("three", "must be one of")):
        assert lazyrich.run(["predict", "--model", text]) == 2
        assert message in capsys.readouterr().err
