"""What a reader of the pages may type works; the names, files, links and versions on them exist."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import lazyrich
from validation.edges import EDGES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")),
         ROOT / "docs" / "paper" / "note.md"]


def blocks(text, language):
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_readme_begins_with_two_blocks_to_type():
    first, second, *_ = blocks(README, "bash")
    assert first.split("\n") == ["pip install -e .", "lazyrich toy", ""]
    assert second.split("\n")[0] == 'pip install -e ".[test]" -c constraints.txt'
    assert second.split("\n")[1].startswith("python -m pytest")


def test_the_workflow_reads_the_same_blocks():
    """The shell of `.ci/run` finds in the README what this file finds."""
    [function] = re.findall(r"^block\(\) \{\n.*?^\}$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE | re.DOTALL)
    for n, block in enumerate(blocks(README, "bash"), start=1):
        run = subprocess.run(["bash", "-c", f"{function}\nblock {n}"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert run.stdout == block


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_shell_block_can_be_read_by_a_shell(page):
    for block in blocks(page.read_text(), "bash"):
        subprocess.run(["bash", "-n", "-c", block], check=True)


def snippets():
    pages = [p for p in PAGES if blocks(p.read_text(), "python")]
    return [pytest.param("\n".join(blocks(p.read_text(), "python")), id=p.name) for p in pages]


@pytest.mark.parametrize("code", snippets())
def test_every_python_block_runs(code, tmp_path, monkeypatch):
    """The blocks of one page run in order in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "<page>", "exec"), {})


def test_there_are_python_blocks():
    assert len(snippets()) >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_inside_the_repository_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        # pages of the gallery are made with the site, and the workflow's are GitHub's
        if not re.match(r"[a-z]+:", target) and not target.startswith(("gallery/generated/", "../../actions/")):
            assert (page.parent / target).exists(), target


MADE_ELSEWHERE = {"docs/data/campaign"}       # the campaign's results, measured on a GPU
CODE = re.compile(r"`([^`\n]+)`")
ALIASES = {"phenomena": "deepnets.phenomena", "tasks": "deepnets.tasks"}       # as the pages import them


def names_of_code(text):
    """Yield the dotted names of our packages in inline code and in directives of a page, as `pkgutil.resolve_name` takes them."""
    for code in [*CODE.findall(text), *re.findall(r"^```\{[\w-]+\} (\S+)", text, re.MULTILINE)]:
        if found := re.match(r"(validation|toymodels|deepnets|lazyrich|phenomena|tasks)((?:\.\w+)+(?::\w+)?)", code):
            yield ALIASES.get(found[1], found[1]) + found[2]


def files_of_code(text):
    """Yield the paths of this repository in inline code and in shell blocks of a page."""
    shell = " ".join(blocks(text, "bash")).split()
    for code in [*CODE.findall(text), *(word for word in shell if word.endswith(".py"))]:
        if re.fullmatch(r"(docs|tests|validation|toymodels|deepnets|\.ci)/[\w./-]+", code):
            yield code


CURRENT = [p for p in PAGES if p.name != "CHANGELOG.md"]       # that one also names what is gone


@pytest.mark.parametrize("page", CURRENT, ids=lambda p: p.name)
def test_every_name_of_code_on_a_page_exists(page):
    for name in names_of_code(page.read_text()):
        pkgutil.resolve_name(name)


@pytest.mark.parametrize("page", CURRENT, ids=lambda p: p.name)
def test_every_file_of_the_repository_on_a_page_exists(page):
    text = page.read_text()
    for path in files_of_code(text):
        assert path in MADE_ELSEWHERE or (ROOT / path).exists(), path
    for module in re.findall(r"^python -m (\S+)", "".join(blocks(text, "bash")), re.MULTILINE):
        # the tools of the documentation are not installed where only the tests' own are
        assert module == "sphinx" or importlib.util.find_spec(module), module


def test_a_name_and_a_file_that_are_gone_are_found():
    text = "`validation.fits.law` and `docs/former_page.md`\n```bash\npython docs/gone.py --all\n```\n"
    assert list(names_of_code(text)) == ["validation.fits.law"]
    assert list(files_of_code(text)) == ["docs/former_page.md", "docs/gone.py"]
    with pytest.raises((ImportError, AttributeError)):
        pkgutil.resolve_name("validation.fits.law")


def test_the_front_page_has_five_sections_and_four_pictures_that_lead_to_four_pages():
    front = (ROOT / "docs" / "index.md").read_text()
    assert re.findall(r"^(\w+) <([\w/]+)>$", front, re.MULTILINE) == [
        ("Start", "start"), ("Guides", "guides"), ("Gallery", "gallery/generated/index"), ("Theory", "theory"), ("Reference", "reference")]
    pictures = re.findall(r"\[!\[[^\]]{40,}\]\(gallery/generated/images/thumb/sphx_glr_(plot_\w+)_thumb\.png\)\]\(([^)]+)\)", front)
    assert len({page for _, page in pictures}) == len(pictures) == 4
    assert all((ROOT / "docs" / "gallery" / "scripts" / f"{script}.py").exists() for script, _ in pictures)
    assert {page for _, page in pictures} == {"student.md", "theorist.md", "engineer.md", "runs_you_have.md"}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_a_page_begins_with_what_it_is_for(page):
    """Below the title stands a sentence, and no code, table or list."""
    title, *others = [line for line in page.read_text().split("\n") if line]
    if page.name != "changelog.md":
        assert title.startswith("# ")
        assert re.match(r"[A-Z*$]|`[^`]", others[0]), others[0]


def test_the_glossary_has_the_terms_that_people_search_for():
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    terms = {term.lower() for term in re.findall(r"^(\w[^\n]*)$", glossary[glossary.index("{glossary}"):], re.MULTILINE)}
    assert {"edge of stability", "mup", "ntk", "lazy", "rich", "catapult", "learning-rate transfer", "central flow",
            "progressive sharpening", "feature learning", "signsgd", "kernel regime", "step size", "phase diagram", "scaling law"} <= terms


def test_the_page_of_edges_defines_each_edge_once():
    defined = re.findall(r"^\| \$[^|]+\$ \| `(\w+)` \|", (ROOT / "docs" / "outcomes.md").read_text(), re.MULTILINE)
    assert sorted(defined) == sorted(EDGES)


def test_every_picture_says_what_it_shows():
    for page in PAGES:
        text = page.read_text()
        assert not re.findall(r"!\[\s*\]\(", text), page
        assert text.count("```{image}") + text.count(".. plot::") == len(re.findall(r"^ *:alt: \S.{40,}$", text, re.MULTILINE)), page


def test_one_version_everywhere():
    version = project()["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"version = {{{version}}}" in README
    assert re.findall(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version


def test_the_readme_names_the_commands_there_are():
    commands = set(re.findall(r"^\| `lazyrich ([\w-]+)", README, re.MULTILINE))
    assert commands == {name for name in lazyrich.app if name[0] != "-"}


def test_the_extras_include_what_they_must():
    extras = project()["optional-dependencies"]
    assert "lazyrich[deep,cluster]" in extras["test"]
    assert "lazyrich[deep]" in extras["docs"]
    assert not [d for d in project()["dependencies"] if d.startswith("torch")]
