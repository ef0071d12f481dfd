"""What the documents tell a reader to type works, and what they say of versions and files is true."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import lazyrich

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


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
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_every_picture_says_what_it_shows():
    for page in PAGES:
        text = page.read_text()
        assert not re.findall(r"!\[\s*\]\(", text), page
        assert text.count("```{image}") == len(re.findall(r"^:alt: \S.{40,}$", text, re.MULTILINE)), page


def test_one_version_everywhere():
    version = project()["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_readme_names_the_commands_there_are():
    commands = set(re.findall(r"^\| `lazyrich ([\w-]+)", README, re.MULTILINE))
    assert commands == {name for name in lazyrich.app if name[0] != "-"}


def test_the_extras_include_what_they_must():
    extras = project()["optional-dependencies"]
    assert "lazyrich[deep,cluster]" in extras["test"]
    assert "lazyrich[deep]" in extras["docs"]
    assert not [d for d in project()["dependencies"] if d.startswith("torch")]
