"""The explorer in a real browser, from file://, without network: what it shows, how it is moved, what it hands out."""

import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

import lazyrich
from tests.toymodels.explorer.test_explore import build_network_portrait, build_toy_portrait
from toymodels import HeavyBall, OneParameter, ToyExperiment, TwoParameter, trajectory
from toymodels.explorer.build import FOLDER, build_page
from toymodels.explorer.page import fill_page
from validation import Outcome, save_portrait

pytest.importorskip("wasmtime", reason="wasmtime runs the explorer's kernel: pip install wasmtime")

from tests.toymodels.explorer.test_kernel import agree

PAGE = FOLDER / "explorer.html"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
SMALL = {"model": "one", "depth": 5, "loss": "mse", "optimizer": "sgd", "steps": 240, "rho": 0.01, "noise": 0, "gamma": [1e-2, 1e2],
         "eta": [1e-6, 10], "points": 48, "colour": "outcome", "rescale": "none", "momentum": 0.9}
# what may not be in the address of anything that the page loads
NETWORK = re.compile(r"https?://(?!www\.w3\.org/)")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install playwright")
    with playwright.sync_playwright() as started:
        path = BROWSER or (started.chromium.executable_path if Path(started.chromium.executable_path).exists() else None)
        if path is None:
            pytest.skip("no browser is installed: apt-get install chromium, or python -m playwright install chromium")
        window = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield window
        window.close()


@pytest.fixture(scope="module")
def opened(browser):
    """The page, at a size of a laptop, with what it wrote to the console and what it requested."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.messages, page.requests = [], []
    page.on("console", lambda message: page.messages.append(message.text))
    page.on("pageerror", lambda error: page.messages.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(PAGE.as_uri() + "#points=64")
    page.evaluate("lazyrich.ready")
    return page


@pytest.fixture
def page(opened):
    """The page with a small view."""
    show(opened, SMALL)
    return opened


def show(page, view):
    page.evaluate("view => lazyrich.setView(view)", view)


def read(page):
    """Return the computed gamma, eta and outcome as arrays."""
    found = page.evaluate("(({gamma, eta, outcome}) => [gamma, eta, outcome].map(a => Array.from(a)))(lazyrich.outcomes())")
    gamma, eta, outcome = map(np.array, found)
    return gamma, eta, outcome.reshape(len(gamma), -1)


def settle(page):
    """Wait until a view that a gesture has changed is computed."""
    page.evaluate("lazyrich.setView({})")


def test_the_page_is_built_from_its_sources():
    assert build_page() == PAGE.read_text(), "python -m toymodels.explorer.build makes it anew"


def test_the_page_is_small_and_loads_nothing():
    text = PAGE.read_text()
    assert len(text.encode()) < 200_000
    assert not NETWORK.findall(text)
    assert "default-src 'none'" in text


def test_the_first_picture_comes_without_an_error_or_a_request(opened):
    assert opened.messages == []
    assert [url for url in opened.requests if not url.startswith(("file:", "blob:", "data:"))] == []
    first, fine = (opened.evaluate(f"performance.getEntriesByName('lazyrich {name}')[0].startTime") for name in ("coarse", "fine"))
    assert 0 < first <= fine
    # the colours of the picture are those of the figures
    legend = opened.locator("#legend span").all_inner_texts()
    assert legend == ["untrained", "partial", "converged", "oscillating", "stuck", "diverged"]
    assert opened.evaluate("""() => { const c = document.getElementById('plane'), box = c.getBoundingClientRect(), d = c.width / box.width;
        return Array.from(c.getContext('2d').getImageData(d * 80, d * 30, 1, 1).data); }""") == [0x9E, 0x9E, 0x9E, 255]


@pytest.mark.parametrize(("change", "experiment"), [
    ({}, ToyExperiment(OneParameter(5), "mse", "sgd", 240)),
    ({"model": "two", "loss": "cross_entropy", "rho": 0.1}, ToyExperiment(TwoParameter(), "cross_entropy", "sgd", 240, rho=0.1)),
], ids=["one", "two"])
def test_outcomes_and_runs_equal_the_simulators(page, change, experiment):
    show(page, change)
    gamma, eta, outcome = read(page)
    np.testing.assert_allclose(gamma, np.geomspace(*SMALL["gamma"], 48), rtol=1e-14)
    np.testing.assert_allclose(eta, np.geomspace(*SMALL["eta"], 48), rtol=1e-14)
    agree(outcome, experiment.measure(gamma, eta)["outcome"].values)
    run = page.evaluate("(r => [r.f, r.loss, r.excess].map(a => Array.from(a)))(lazyrich.trajectory({gamma: 0.5, eta: 0.01}))")
    exact = trajectory(experiment.model, experiment.loss, "sgd", 0.5, 0.01, 240)
    for mine, name in zip(run, ("f", "loss", "excess"), strict=True):
        np.testing.assert_allclose(mine, exact[name], rtol=1e-12, atol=1e-12)


def test_wheel_drag_and_keys_compute_the_plane_anew(page):
    plane = page.locator("#plane")
    box = plane.bounding_box()
    x, y = box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.4

    def ranges():
        settle(page)
        gamma, eta, outcome = read(page)
        view = page.evaluate("lazyrich.view")
        np.testing.assert_allclose([gamma[0], gamma[-1], eta[0], eta[-1]], view["gamma"] + view["eta"], rtol=1e-15)
        return np.log([gamma[0], gamma[-1], eta[0], eta[-1]]), outcome

    before, first = ranges()
    page.mouse.move(x, y)
    page.mouse.wheel(0, -120)
    page.wait_for_function("lazyrich.view.gamma[0] !== 0.01")
    wheel, second = ranges()
    assert wheel[1] - wheel[0] < 0.8 * (before[1] - before[0])
    assert (first != second).any()
    page.mouse.down()
    page.mouse.move(x - 100, y, steps=3)
    page.mouse.up()
    dragged, _ = ranges()
    assert dragged[0] > wheel[0] + 0.1
    np.testing.assert_allclose(dragged[2:], wheel[2:], atol=1e-9)
    plane.focus()
    for key, change in (("ArrowUp", [0, 0, 1, 1]), ("ArrowLeft", [-1, -1, 0, 0]), ("+", [1, -1, 1, -1]), ("-", [-1, 1, -1, 1])):
        earlier, _ = ranges()
        page.keyboard.press(key)
        later, _ = ranges()
        np.testing.assert_array_equal(np.sign(np.where(abs(later - earlier) < 1e-9, 0, later - earlier)), change, err_msg=key)
    page.keyboard.press("0")
    whole, _ = ranges()
    np.testing.assert_allclose(np.exp(whole), [1e-5, 1e5, 1e-15, 100])


def test_two_fingers_zoom(page):
    box = page.locator("#plane").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 50), ("touchMove", 80), ("touchMove", 100), ("touchEnd", None)):
        fingers = [] if apart is None else [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    page.wait_for_function("lazyrich.view.gamma[1] / lazyrich.view.gamma[0] < 150")      # touches arrive with the next frame
    settle(page)
    view = page.evaluate("lazyrich.view")
    # to half its width, about the middle of the fingers
    assert np.log(view["gamma"][1] / view["gamma"][0]) == pytest.approx(np.log(1e4) / 2, rel=0.1)
    assert np.sqrt(view["gamma"][0] * view["gamma"][1]) == pytest.approx(1, rel=0.5)
    assert page.inner_text("#outcome").startswith("Click")


def test_a_relative_width_of_one_in_a_trillion_is_still_sharp(page):
    """At the fractal edge of depth 3, followed to where the width is 1e-12: outcomes still differ there, and so does every rate."""
    view = {"depth": 3, "gamma": [0.5, 2], "eta": [0.29, 0.31], "points": 32}
    show(page, view)
    for _ in range(13):
        gamma, eta, outcome = read(page)
        i, j = np.argwhere(outcome[:, 1:] != outcome[:, :-1])[0]
        for name, centre in (("gamma", gamma[i]), ("eta", eta[j])):
            half = max((view[name][1] / view[name][0] - 1) / 20, 0.55e-12)
            view[name] = [centre * (1 - half), centre * (1 + half)]
        show(page, view)
    gamma, eta, outcome = read(page)
    for axis in (gamma, eta):
        assert axis[-1] / axis[0] - 1 < 1.5e-12
        steps = np.diff(axis)
        assert (steps > 0).all()
        assert steps.max() < 1.25 * steps.min()
    assert len(np.unique(outcome)) > 1
    page.locator("#plane").hover()
    page.mouse.wheel(0, -500)
    page.wait_for_function("eta => lazyrich.view.eta[0] !== eta", arg=view["eta"][0])
    settle(page)
    narrow = page.evaluate("lazyrich.view")
    assert narrow["eta"][1] / narrow["eta"][0] - 1 > 0.9e-12


def test_the_address_holds_the_view(page):
    wanted = SMALL | {"model": "two", "depth": 7, "loss": "cross_entropy", "optimizer": "momentum", "momentum": 0.5, "steps": 77,
                      "rho": 0.02, "gamma": [0.12345678901234567, 0.2], "eta": [1e-3, 3e25], "points": 16, "colour": "peak",
                      "rescale": "gamma2"}
    show(page, wanted)
    assert page.evaluate("lazyrich.view") == wanted
    address = page.evaluate("location.href")
    assert "rescale=gamma2" in address
    page.evaluate("location.hash = '#preset=figure-8&points=16'")
    page.wait_for_function("lazyrich.view.steps === 1000 && document.getElementById('preset').value === 'figure-8'")
    assert "catapult" in page.inner_text("#sentence")
    page.evaluate("hash => { location.hash = hash; }", address.partition("#")[2])
    page.wait_for_function("lazyrich.view.steps === 77")
    assert page.inner_text("#sentence") == ""
    assert page.evaluate("lazyrich.view") == wanted


def test_an_address_counts_more_than_the_view_that_the_page_was_written_with(browser, tmp_path):
    path = tmp_path / "two.html"
    path.write_text(fill_page(PAGE.read_text(), view=SMALL | {"steps": 300}))
    page = browser.new_page()
    page.goto(path.as_uri())
    page.evaluate("lazyrich.ready")
    assert page.evaluate("lazyrich.view.steps") == 300
    page.evaluate("lazyrich.setView({steps: 1000})")      # the default, which an address omits
    page.reload()
    page.evaluate("lazyrich.ready")
    assert page.evaluate("lazyrich.view") == SMALL | {"steps": 1000}
    page.close()


def pointed_gamma(page):
    """Return gamma as the line beneath the plane names it."""
    return float(re.search(r"γ = ([\d.]+)", page.inner_text("#hover"))[1])


def test_the_line_of_numbers_is_that_of_the_view_which_is_shown(page):
    box = page.locator("#plane").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert 0.5 < pointed_gamma(page) < 2
    show(page, {"gamma": [20, 500]})
    assert "computing" not in page.inner_text("#hover")
    assert 90 < pointed_gamma(page) < 110
    page.select_option("select[name=colour]", "tail")
    settle(page)
    assert 90 < pointed_gamma(page) < 110
    page.mouse.move(5, 5)
    page.select_option("select#preset", "catapults")
    settle(page)
    assert page.inner_text("#hover").startswith("Point at the plane")
    show(page, SMALL)
    page.focus("#plane")
    page.keyboard.press("Shift+ArrowRight")
    before = pointed_gamma(page)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("document.getElementById('live').textContent.startsWith('Computed')")
    assert pointed_gamma(page) > 10 * before


def test_at_the_narrowest_view_zooming_in_moves_nothing(page):
    show(page, {"gamma": [0.7, 0.7 * (1 + 1.3e-12)], "eta": [0.3, 0.3 * (1 + 5e-12)], "points": 8})
    box = page.locator("#plane").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.2)
    for _ in range(10):
        page.mouse.wheel(0, -120)
    page.wait_for_function("lazyrich.view.eta[1] / lazyrich.view.eta[0] - 1 < 1.01e-12")
    settle(page)
    view = page.evaluate("lazyrich.view")
    # the rate under the pointer is still there
    t = (0.8 * box["height"] - 44) / (box["height"] - 52)
    share = (0.3 * (1 + 5e-12 * t) - view["eta"][0]) / (view["eta"][1] - view["eta"][0])
    assert share == pytest.approx(t, abs=0.02)
    page.mouse.wheel(0, -120)
    page.wait_for_timeout(100)
    assert page.evaluate("lazyrich.view") == view


def test_an_address_with_faults_keeps_the_rest_and_says_what_is_wrong(browser, tmp_path):
    path = tmp_path / "mine.html"
    path.write_text(fill_page(PAGE.read_text(), view=SMALL))
    page = browser.new_page()
    address = path.as_uri() + "#model=two&rescale=foo&depth=77&colr=tail"
    page.goto(address)
    page.evaluate("lazyrich.ready")
    assert page.evaluate("lazyrich.view") == SMALL | {"model": "two"}
    error = page.inner_text("#error")
    for part in ("rescale must be none, gamma2, eta_max, not foo", "depth must be a whole number from 1 to 12, not 77", "'colr'"):
        assert part in error
    page.wait_for_timeout(300)
    assert page.url == address
    page.goto("about:blank")
    page.goto(path.as_uri() + "#preset=figure-7")
    page.evaluate("lazyrich.ready")
    assert "There is no start 'figure-7'" in page.inner_text("#error")
    assert page.evaluate("lazyrich.view") == SMALL
    page.close()


def test_a_link_brings_back_the_start_its_caption_and_the_edges_that_were_off(page):
    page.select_option("select#preset", "catapults")
    page.uncheck("#edge-list label:has-text('crit') input")
    page.select_option("select[name=points]", "64")
    page.focus("#plane")
    page.keyboard.press("+")
    settle(page)
    view, link = page.evaluate("lazyrich.view"), copy(page, "#copy-link")
    show(page, SMALL)
    assert page.input_value("select#preset") == ""
    page.evaluate("hash => { location.hash = hash; }", link.partition("#")[2])
    page.wait_for_function("lazyrich.view.model === 'two'")
    settle(page)
    assert page.evaluate("lazyrich.view") == view
    assert page.input_value("select#preset") == "catapults"
    assert "In units of γ²" in page.inner_text("#sentence")
    assert not page.is_checked("#edge-list label:has-text('crit') input")
    page.check("#edge-list label:has-text('crit') input")
    page.keyboard.press("0")


def test_the_plane_of_the_command_line_s_defaults_is_figure_6(browser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lazyrich.run(["explore", "--no-open", "--out", "plain.html", "--points", "32"]) == 0
    page = browser.new_page()
    page.goto((tmp_path / "plain.html").as_uri())
    page.evaluate("lazyrich.ready")
    assert page.input_value("select#preset") == "figure-6"
    assert page.inner_text("#sentence").startswith("One parameter, depth 5")
    page.close()


def test_a_form_changes_T_with_the_model_and_a_unit_gives_back_its_range(page):
    show(page, {"steps": 1000, "points": 512, "gamma": [1e-2, 10]})
    page.select_option("select[name=model]", "two")
    page.select_option("select[name=loss]", "cross_entropy")
    assert page.inner_text("#live") == "Computing …"      # for seconds
    assert page.evaluate("[lazyrich.view.steps, lazyrich.view.points]") == [30000, 256]
    page.select_option("select[name=loss]", "mse")
    assert page.evaluate("[lazyrich.view.steps, lazyrich.view.points]") == [1000, 512]
    show(page, {"steps": 77, "points": 32})
    page.select_option("select[name=loss]", "cross_entropy")
    assert page.evaluate("[lazyrich.view.steps, lazyrich.view.points]") == [77, 32]
    show(page, SMALL)
    for unit in ("gamma2", "eta_max", "none"):
        page.select_option("select[name=rescale]", unit)
    settle(page)
    assert page.evaluate("lazyrich.view") == SMALL


class Stopped(Exception):
    pass


@pytest.mark.parametrize("change", [
    {}, {"optimizer": "momentum", "momentum": 0.25, "model": "two", "loss": "cross_entropy", "noise": 0.125}], ids=["plain", "all"])
def test_the_copied_command_computes_the_view(page, change, monkeypatch):
    import lazyrich
    from toymodels import cli

    show(page, change)
    called = []

    def stop(experiment, plane, *_):
        called.extend((experiment, plane))
        raise Stopped

    monkeypatch.setattr(cli, "_run_one_loss", stop)
    program, *words = page.evaluate("lazyrich.command()").split()
    assert program == "lazyrich"
    command, bound, _ = lazyrich.app.parse_args(words)
    with pytest.raises(Stopped):
        command(*bound.args, **bound.kwargs)
    experiment, plane = called
    _, _, outcome = read(page)
    if change:
        assert (experiment.noise, experiment.optimizer, experiment.model) == (0.125, HeavyBall(0.25), TwoParameter())
    else:      # one sort of toy is enough of numba's compiling
        agree(outcome, experiment.measure(plane.gamma, plane.eta)["outcome"].values)
    np.testing.assert_allclose(plane.gamma, np.geomspace(*SMALL["gamma"], 48))
    assert experiment.steps == 240


def copy(page, button):
    page.evaluate("() => { navigator.clipboard.writeText = async text => { window.copied = text; }; window.copied = null; }")
    page.click(button)
    page.wait_for_function("window.copied !== null")
    return page.evaluate("window.copied")


def test_the_copied_python_computes_the_view(page):
    from matplotlib import pyplot

    for change in ({"rescale": "none"}, {"rescale": "eta_max", "eta": [1e-3, 10]}):
        show(page, change)
        names = {}
        exec(copy(page, "#copy-python"), names)
        assert pyplot.gca().get_legend()      # drawn with the edges
        pyplot.close("all")
        _, _, outcome = read(page)
        agree(outcome, names["portrait"]["outcome"].values)
    assert copy(page, "#copy-command") == page.evaluate("lazyrich.command()")
    assert copy(page, "#copy-link").startswith("file:")


def test_a_run_is_that_of_the_pixel_and_named_in_the_axis_unit(page):
    show(page, {"rescale": "gamma2", "eta": [1e-3, 10], "points": 16})
    box = page.locator("#plane").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.43, box["y"] + box["height"] * 0.37)
    numbers = page.inner_text("#hover").partition(" · ")[0]
    assert page.inner_text("#outcome").startswith(numbers + ", 240 steps")
    gamma, eta, unit = (float(x) for x in re.findall(r"= ([\d.]+)", numbers))
    assert unit == pytest.approx(eta / gamma**2, rel=1e-3)
    assert gamma in [float(f"{g:.5g}") for g in read(page)[0]]


def test_the_charts_of_a_diverging_run_have_round_ticks(page):
    page.evaluate("""() => { window.written = []; const fill = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function(text, ...rest) {
            written.push(text);
            return fill.call(this, text, ...rest);
        } }""")
    show(page, {"gamma": [4400, 4460], "eta": [160, 164], "points": 8})
    page.evaluate("written.length = 0")
    page.locator("#plane").click()
    page.wait_for_timeout(100)
    ticks = page.evaluate("written")
    page.reload()
    page.evaluate("lazyrich.ready")
    [last] = {re.match(r"(\d+) steps", text)[1] for text in ticks if text.endswith("steps")}
    charts = ticks[ticks.index("excess loss; dashed: ρ"):]
    assert int(last) < 10
    for text in charts[:charts.index("sharpness × η/2; dashed: 1") + 12]:
        assert re.fullmatch(r"[\d−]+|−?10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|\d+ steps|[a-zρ].*", text), text
    assert charts.count("0") >= 4      # of the steps, of f and of the sharpness


def test_a_click_shows_the_run_and_the_files_hold_what_is_shown(page, tmp_path):
    show(page, {"model": "two", "gamma": [0.1, 1], "eta": [0.001, 0.1]})
    page.locator("#plane").click()
    sentence = page.inner_text("#outcome")
    assert "240 steps: converged" in sentence
    assert page.locator("#charts canvas").count() == 4          # excess, f, sharpness and the path
    before = page.locator("#charts canvas").first.screenshot()
    page.check("#log-steps")
    assert page.locator("#charts canvas").first.screenshot() != before
    page.locator("#plane").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    assert page.inner_text("#outcome") != sentence
    for button, name in (("#save-picture", "plane.png"), ("#save-numbers", "plane.csv")):
        with page.expect_download() as download:
            page.click(button)
        download.value.save_as(tmp_path / name)
        assert page.inner_text("#live").endswith(f"saved as lazyrich-two-mse-sgd-T240.{name[-3:]}.")
    from matplotlib.image import imread

    picture = imread(tmp_path / "plane.png")
    assert picture.shape[0] > 1000 < picture.shape[1] == 1440
    assert (picture[[0, 0, -1, -1], [0, -1, 0, -1], :3] == 1).all()      # a white sheet,
    assert (picture[:50, 100:, :3].min(axis=2) < 0.3).sum() > 500      # a title, a legend
    assert any((abs(picture[-150:, :, :3] - np.array([0x1A, 0x5F, 0xA3]) / 255) < 0.01).all(axis=2).flat)
    lines = (tmp_path / "plane.csv").read_text().splitlines()
    assert lines[0] == f"# {page.evaluate('lazyrich.command()')}"
    assert lines[1] == "gamma,eta,outcome,final,tail,peak"
    _, eta, outcome = read(page)
    assert len(lines) == 2 + outcome.size
    assert float(lines[3].split(",")[1]) == eta[1]


def test_periods_and_exponents_are_shown_where_there_are_any(page):
    show(page, {"depth": 2, "colour": "period", "rescale": "eta_max", "gamma": [0.5, 2], "eta": [0.9, 2.1], "steps": 400})
    assert {"1", "2", "4", "chaos", "diverged"} <= set(page.locator("#legend span").all_inner_texts())
    show(page, {"optimizer": "signsgd"})
    assert page.evaluate("lazyrich.view.colour") == "outcome"
    assert page.locator("select[name=colour] option[value=period]").is_disabled()


def test_bad_input_is_refused_with_a_sentence(page):
    with pytest.raises(Exception, match="depth must be a whole number from 1 to 12, not 13"):
        show(page, {"depth": 13})
    with pytest.raises(Exception, match="eta must be two increasing numbers"):
        show(page, {"eta": [1, 0.1]})
    with pytest.raises(Exception, match="gamma must be two increasing numbers from 1e-290 to 1e290"):
        show(page, {"gamma": [1e-300, 1]})
    for field, typed, sentence in (("eta1", "", "η must be .*, not 0.000001 to empty"),
                                   ("eta1", "abc", "η must be .*, not 0.000001 to abc"),
                               ("noise", "1e300", "Label noise σ must be a number from 0 to 1000, not 1e300"),
                               ("rho", "", "Threshold ρ must be a number between 0 and 1, not empty")):
        page.fill(f"input[name={field}]", typed)
        page.keyboard.press("Tab")
        assert re.match(sentence, page.inner_text("#error"))
        assert page.inner_text("#live").startswith("Computed")
    show(page, SMALL)
    page.fill("input[name=eta1]", "1e-9")
    page.keyboard.press("Tab")
    assert page.inner_text("#error").startswith("η must be two increasing numbers")
    assert page.evaluate("lazyrich.view.eta") == SMALL["eta"]


def test_a_unit_that_is_predicted_nowhere_leaves_the_plane_empty_and_says_so(page):
    show(page, {"model": "two", "optimizer": "momentum", "rescale": "eta_max", "colour": "tail"})
    assert "No ηₘₐₓ is predicted here" in page.inner_text("#error")
    assert set(read(page)[2].flat) == {-1}
    assert page.inner_text("#live") == ""
    page.select_option("select[name=rescale]", "none")
    settle(page)
    assert page.inner_text("#error") == ""
    assert len(set(read(page)[2].flat)) > 1


def test_everything_is_reached_by_the_keyboard_and_has_a_name(page):
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(45):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.tagName"))
    wanted = page.evaluate("""() => [...document.querySelectorAll('button, input, select, summary, canvas[tabindex]')]
        .filter(e => e.offsetParent !== null && !e.disabled && !e.closest('details:not([open]) > :not(summary)'))
        .map(e => e.id || e.name || e.tagName)""")
    assert set(wanted) - reached <= {"INPUT"}
    assert "plane" in reached
    unnamed = page.evaluate("""() => [...document.querySelectorAll('button, input, select, canvas')]
        .filter(e => !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim())).map(e => e.outerHTML)""")
    assert unnamed == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
def test_an_accessibility_checker_finds_no_serious_fault(page, tmp_path_factory, scheme, width):
    """Of axe-core, which npm downloads; the screenshots are kept where LAZYRICH_SCREENSHOTS says."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 860})
    show(page, {"model": "two"})
    page.evaluate("lazyrich.setView({})")
    page.locator("#plane").click()
    folder = Path(os.environ.get("LAZYRICH_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"explorer-{scheme}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    faults = find_faults(page, read_axe(tmp_path_factory))
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 860})
    assert [f for f in faults if f["impact"] in ("serious", "critical")] == [], json.dumps(faults, indent=1)


@pytest.fixture(scope="module")
def stored(browser, tmp_path_factory):
    """The page with a network's portrait, 60 x 60 runs of three seeds, as `lazyrich explore` writes it; and the portrait."""
    folder, portrait = tmp_path_factory.mktemp("stored"), build_network_portrait(60, 60)
    path = save_portrait(portrait, folder / "net.nc")
    assert lazyrich.run(["explore", str(path), "--out", str(folder / "net.html"), "--no-open"]) == 0
    page = browser.new_page(viewport={"width": 1100, "height": 860})
    page.messages = []
    page.on("console", lambda message: page.messages.append(message.text))
    page.on("pageerror", lambda error: page.messages.append(str(error)))
    page.goto((folder / "net.html").as_uri())
    page.evaluate("lazyrich.ready")
    return page, portrait


def test_a_stored_portrait_shows_each_run_of_every_seed(stored):
    page, portrait = stored
    assert page.messages == []
    assert not page.locator("#plane").is_visible()       # a network's plane cannot be computed in the page
    page.select_option("select[data-dim=seed]", label="2")
    gamma, eta, outcome = map(np.array, page.evaluate("Object.values(lazyrich.outcomes()).map(a => Array.from(a))"))
    np.testing.assert_array_equal(gamma, portrait["gamma"])
    np.testing.assert_array_equal(eta.reshape(60, 60)[7], portrait["eta"])
    np.testing.assert_array_equal(outcome.reshape(60, 60), portrait["outcome"].sel(seed=2))
    page.focus("#stored-plane")
    for key in ("ArrowLeft", "ArrowUp", "ArrowUp"):      # from the run in the middle
        page.keyboard.press(key)
    run = portrait.isel(gamma=29, eta=32)
    text = page.inner_text("#stored-run")
    names = [Outcome(int(o)).label for o in run["outcome"]]
    for seed, (name, excess) in enumerate(zip(names, run["final_excess"].values, strict=True)):
        written, number = re.search(rf"\b{seed} (\w+) \(([\d.e-]+)\)", text).groups()
        assert written == name
        assert float(number) == pytest.approx(excess, rel=1e-3)
    assert f": {names[2]} (" in text


def test_a_stored_portrait_is_read_by_the_pointer_and_has_no_serious_fault(stored, tmp_path_factory):
    page, _ = stored
    box = page.locator("#stored-plane").bounding_box()
    page.mouse.move(box["x"] + 65, box["y"] + box["height"] - 50)      # the lower left corner
    assert re.match(r"γ = 0\.001\b", page.inner_text("#stored-run"))
    page.select_option("select[data-dim=shown]", label="excess loss after the last step")
    assert "diverged or no number" in page.inner_text("#stored")
    folder = Path(os.environ.get("LAZYRICH_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / "stored.png", full_page=True)
    faults = find_faults(page, read_axe(tmp_path_factory))
    assert [f for f in faults if f["impact"] in ("serious", "critical")] == [], json.dumps(faults, indent=1)


@pytest.fixture(scope="module")
def toy(browser, tmp_path_factory):
    """The page with a toy's portrait whose edges are read at another threshold than that of its outcomes."""
    folder = tmp_path_factory.mktemp("toy")
    portrait = build_toy_portrait(ToyExperiment(OneParameter(1), steps=(100, 1000)), 6, 40)
    portrait["steps"][:] = portrait["horizon"]
    portrait["steps"].values[portrait["outcome"].values == Outcome.DIVERGED] = 24
    portrait["outcome"][:, 2, 0] = Outcome.UNRUN
    path = save_portrait(portrait, folder / "toy.nc")
    assert lazyrich.run(["explore", str(path), "--out", str(folder / "toy.html"), "--no-open", "--rho", "0.1"]) == 0
    page = browser.new_page(viewport={"width": 1100, "height": 860})
    page.goto((folder / "toy.html").as_uri() + "#points=32")
    page.evaluate("lazyrich.ready")
    return page


def test_a_stored_portrait_names_the_threshold_of_its_outcomes_and_that_of_its_verdicts(toy):
    text = toy.inner_text("#stored-threshold")
    assert "verdicts are those at the threshold ρ = 0.1" in text
    assert "outcomes in the picture were measured at ρ = 0.01" in text
    assert toy.evaluate("lazyrich.view.rho") == 0.1
    toy.focus("#stored-plane")
    toy.keyboard.press("ArrowDown")
    assert "(at ρ = 0.01: " in toy.inner_text("#stored-run")


def test_the_steps_of_diverged_runs_are_shown(toy):
    toy.select_option("select[data-dim=shown]", label="steps taken before it diverged, else T")
    assert re.sub(r"\s+", " ", toy.inner_text("#stored-legend")) == "steps taken before it diverged, else T: 24 1000 unrun"
    box = toy.locator("#stored-plane").bounding_box()
    toy.wait_for_timeout(100)
    top, bottom = toy.evaluate("""() => { const c = document.getElementById('stored-plane'), d = c.width / c.clientWidth;
        return [30, c.clientHeight - 60].map(y => Array.from(c.getContext('2d').getImageData(d * 90, d * y, 1, 1).data)); }""")
    assert top[:3] == [0x08, 0x1D, 0x58]         # diverged, after the fewest steps
    assert bottom[:3] == [0xFD, 0xF3, 0xA0]      # bounded, after all
    toy.mouse.move(box["x"] + 90, box["y"] + 30)
    assert "steps taken before it diverged, else T: 24" in toy.inner_text("#stored-run")


def test_a_stored_plane_is_zoomed_and_offers_the_edges_that_it_has(toy):
    names = toy.locator("#stored-measured label").all_inner_texts()
    assert "ηdiv" in [name.strip() for name in names]
    toy.uncheck("#stored-measured label:has-text('div') input")
    toy.check("#stored-measured label:has-text('div') input")
    toy.focus("#stored-plane")
    toy.wait_for_timeout(50)
    whole = toy.locator("#stored-plane").screenshot()
    toy.keyboard.press("+")
    toy.wait_for_timeout(50)
    assert toy.locator("#stored-plane").screenshot() != whole
    toy.keyboard.press("0")
    toy.wait_for_timeout(50)
    assert toy.locator("#stored-plane").screenshot() == whole
    with toy.expect_download() as download:
        toy.click("#stored-numbers")
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "# one parameter, L = 1, MSE, SGD, T = 1000, horizon 1000"
    assert lines[1].startswith("gamma,eta,outcome,final_excess")
    assert len(lines) == 2 + 6 * 40


def find_faults(page, source):
    """Return what axe-core reports; the page's policy forbids scripts from elsewhere, so that it runs in the debugger's world."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": source + "; 0"})
    found = session.send("Runtime.evaluate", {"expression": "axe.run().then(r => r.violations.map(v => ({id: v.id, impact: v.impact, "
                                              "nodes: v.nodes.map(n => n.html)})))", "awaitPromise": True, "returnByValue": True})
    return found["result"]["value"]


def read_axe(tmp_path_factory, kept=[]):  # noqa: B006 - downloaded once
    if not kept:
        folder = tmp_path_factory.mktemp("axe")
        npm = shutil.which("npm")
        run = npm and subprocess.run([npm, "pack", "--silent", "axe-core@4"], cwd=folder, capture_output=True, text=True, timeout=60)
        if not run or run.returncode:
            pytest.skip("axe-core could not be had: it needs npm (apt-get install npm) and its registry")
        with tarfile.open(folder / run.stdout.split()[-1]) as archive:
            kept.append(archive.extractfile("package/axe.min.js").read().decode())
    return kept[0]
