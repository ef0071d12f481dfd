"""The words of this repository: names, comments, messages and pages use the field's own, so that a stranger can search for them.

Each entry is a pattern and what to write in its place. Outcome names, "portrait" and the keys of stored descriptions are exempt.
"""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WORDS = {
    r"told|tells|telling|said": "report, returns, printed",
    r"held against|asked": "compared with, requested",
    r"looks?|looked": "snapshot; for the verb: measure, read, check, see",
    r"witness(es)?": "model (a toy, a network)",
    r"rooms?|drawers?|house": "module, package, repository; for memory: available bytes",
    r"pulls?": "residual, -l'(f)",
    r"combs?|lucky|tooth|teeth": "periodic windows",
    r"first swings?": "transient overshoot",
    r"apex(es)?": "closing point (where eta_min meets eta_max)",
    r"at rest": "at initialization (the zero output)",
    r"salvaged?|bury|buried|leaves? the stack": "isolate a failed run, drop a diverged run",
    r"given up|gives? up|gave up": "failed",
    r"knows?|known to nobody": "say what the module does, not what it may not know",
    r"beforehand": "before training; a pre-flight check",
}
# keys of stored descriptions and of files written before, and a word of the workflow's syntax, stay as they are
EXEMPT = re.compile(r"""["'`]witness["'`]|attrs\.witness|["'`]at_rest["'`]|pull_request""")
PATTERNS = [(re.compile(rf"\b({pattern})\b", re.IGNORECASE), better) for pattern, better in WORDS.items()]
# a phrase may run over two lines, behind a comment's sign or a quotation's
OVER_LINES = [(re.compile(rf"\b({pattern})\b".replace(" ", r"[ ]*\n[ #>-]*"), re.IGNORECASE), better)
              for pattern, better in WORDS.items() if " " in pattern]
IRREGULAR = {"told", "made", "kept", "held", "drawn", "found", "shown", "given", "seen", "taken", "thrown", "known", "said", "met", "built",
             "done", "gone", "grown", "cut", "written", "dealt", "fallen", "spent", "sent", "laid", "lost", "broken", "chosen", "swept",
             "won", "thought", "hidden", "left"}
NO_PARTICIPLE = {"seed", "need", "speed", "feed", "embed", "exceed", "proceed", "succeed", "red", "shared"}
PUBLIC = {"fit_broken"}                       # of the contract: it fits a broken power law
NAMES = {"there", "beside", "held", "kept", "made"}       # as a variable's name these say nothing


def sources(root: Path = ROOT) -> list[Path]:
    """Every text of the repository that people read."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root, capture_output=True, text=True)
    kinds = {".py", ".pyi", ".md", ".rst", ".j2", ".yml", ".ipynb"}
    exempt = ("CHANGELOG.md", "test_words.py")      # the first names what was renamed, the second lists the words
    return [root / n for n in sorted(listed.stdout.split())
            if Path(n).suffix in kinds and Path(n).name not in exempt and (root / n).exists()]


def split_names(text: str) -> str:
    """Return the text with each identifier taken apart into its words: at_rest, atRest -> at rest."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ")


def old_words(text: str) -> list[tuple[int, str, str]]:
    """Return (line, word, better) of every word that has a better one."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = split_names(EXEMPT.sub("", line))
        found += [(number, m[0], better) for pattern, better in PATTERNS for m in pattern.finditer(words)]
    whole = split_names(EXEMPT.sub("", text))
    found += [(whole[: m.start()].count("\n") + 1, m[0], better) for pattern, better in OVER_LINES for m in pattern.finditer(whole)]
    return found


def participle(name: str) -> bool:
    """Return whether a function's name is, or ends in, a participle."""
    last = name.strip("_").rpartition("_")[2]
    return last in IRREGULAR or (last.endswith("ed") and last not in NO_PARTICIPLE)


def badly_named(text: str) -> list[tuple[int, str, str]]:
    """Return (line, name, rule) of functions named by a participle, and of variables whose name says nothing."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            is_property = any("property" in ast.unparse(d) for d in node.decorator_list)
            if participle(node.name) and not is_property and node.name not in PUBLIC:
                found.append((node.lineno, node.name, "functions are verbs"))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in NAMES:
            found.append((node.lineno, node.id, "name what it is"))
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_fields_own_words(path):
    text = path.read_text()
    found = old_words(text)
    if path.suffix == ".py" and "tests" not in path.parts:
        found += badly_named(text)
    assert not found, "\n".join(f"{path.relative_to(ROOT)}:{n}: {word!r}: {better}" for n, word, better in sorted(found))


@pytest.mark.parametrize(("text", "words"), [
    ("def told(): ...", ["told"]), ("# is held against its apex", ["held against", "apex"]), ("at_rest = 1", ["at rest"]),
    ("it is held\n    # against them", ["held\n    # against"]), ("the rooms", ["rooms"]), ('x["witness"]', []), ("combine(tolerance)", []),
])
def test_an_old_word_is_seen(text, words):
    assert [word for _, word, _ in old_words(text)] == words


@pytest.mark.parametrize(("text", "bad"), [("def kept(): ...", 1), ("def _swept(x): ...", 1), ("def set_seed(): ...", 0), ("there = 1", 1),
                                           ("def fit(): there.x = 1", 0), ("@property\ndef failed(self): ...", 0)])
def test_a_bad_name_is_seen(text, bad):
    assert len(badly_named(text)) == bad
