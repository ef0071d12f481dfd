"""The published site: versions beside each other, and a workflow that names files there are."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ADDRESS = "https://someone.github.io/lazyrich"


@pytest.fixture
def publish(tmp_path):
    """Publish a site that says which version it is, and return the list of versions."""
    spec = importlib.util.spec_from_file_location("publish_site", ROOT / ".ci" / "publish_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "published").mkdir()

    def run(version, files=("index.html",)):
        built = tmp_path / "built"
        built.mkdir(exist_ok=True)
        for path in built.iterdir():
            path.unlink()
        for name in files:
            (built / name).write_text(version)
        module.publish_site(built, tmp_path / "published", version, ADDRESS)
        return json.loads((tmp_path / "published" / "versions.json").read_text())

    return run


def test_versions_lie_beside_each_other_and_the_newest_release_is_preferred(publish, tmp_path):
    assert publish("main") == [{"name": "main", "version": "main", "url": f"{ADDRESS}/main/", "preferred": True}]
    for version in ("v0.9.0", "v0.10.0", "v0.2.1"):
        publish(version)
    versions = publish("main")
    assert [entry["version"] for entry in versions] == ["main", "v0.10.0", "v0.9.0", "v0.2.1"]
    assert [entry["name"] for entry in versions if "preferred" in entry] == ["0.10.0 (stable)"]
    assert 'url=v0.10.0/' in (tmp_path / "published" / "index.html").read_text()
    assert (tmp_path / "published" / "v0.9.0" / "index.html").read_text() == "v0.9.0"


def test_a_page_that_is_gone_does_not_stay(publish, tmp_path):
    publish("main", ("index.html", "former.html"))
    publish("main")
    assert sorted(path.name for path in (tmp_path / "published" / "main").iterdir()) == ["index.html"]


@pytest.mark.parametrize("version", ["../out", "", ".git", "a/b"])
def test_a_version_that_is_no_folder_is_refused(publish, tmp_path, version):
    with pytest.raises(SystemExit, match="VERSION must be"):
        publish(version)
    assert not list((tmp_path / "published").iterdir())


def test_a_folder_without_a_site_is_refused(publish, tmp_path):
    publish("main")
    with pytest.raises(SystemExit, match="there is no site"):
        publish("main", ())
    assert (tmp_path / "published" / "main" / "index.html").exists()


def test_the_workflows_run_files_there_are():
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for path in re.findall(r"\.ci/[\w.]+", workflow.read_text()):
            assert (ROOT / path).exists(), path


def test_the_matrix_has_the_versions_of_python_that_the_project_names():
    classified = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    [matrix] = re.findall(r"python: (\[.+\])", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert json.loads(matrix) == classified == ["3.11", "3.12", "3.13", "3.14"]


def test_the_workflow_adds_each_version_to_one_branch(tmp_path):
    """The shell of the workflow, in clones of a small repository: the first time, a release, and again without a change."""
    [shell] = re.findall(r"- run: \|\n(.*?)\n      - uses", (ROOT / ".github" / "workflows" / "ci.yml").read_text(), re.DOTALL)

    def git(*words, folder):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout

    (tmp_path / "source" / ".ci").mkdir(parents=True)
    (tmp_path / "source" / ".ci" / "publish_site.py").write_text((ROOT / ".ci" / "publish_site.py").read_text())
    git("init", "-q", "-b", "main", folder=tmp_path / "source")
    git("add", "--all", folder=tmp_path / "source")
    git("commit", "-qm", "source", folder=tmp_path / "source")
    git("clone", "-q", "--bare", "source", "remote.git", folder=tmp_path)
    for number, ref in enumerate(("main", "v0.2.0", "v0.2.0")):
        work = tmp_path / f"work{number}"
        git("clone", "-q", "remote.git", work.name, folder=tmp_path)
        (work / "built").mkdir()
        (work / "built" / "index.html").write_text(ref)
        environment = os.environ | {"GITHUB_REPOSITORY_OWNER": "Some", "GITHUB_REPOSITORY": "Some/rich", "GITHUB_REF_NAME": ref}
        subprocess.run(["bash", "-e", "-c", textwrap.dedent(shell)], cwd=work, env=environment, check=True, capture_output=True)
    files = git("ls-tree", "-r", "--name-only", "gh-pages", folder=tmp_path / "remote.git").split()
    assert files == [".nojekyll", "index.html", "main/index.html", "v0.2.0/index.html", "versions.json"]
    assert len(git("log", "--format=%h", "gh-pages", folder=tmp_path / "remote.git").split()) == 2
    assert '"url": "https://some.github.io/rich/v0.2.0/"' in git("show", "gh-pages:versions.json", folder=tmp_path / "remote.git")
