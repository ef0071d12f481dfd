"""Write a sentence whose formulas are in LaTeX, between dollar signs, as plain text for a terminal."""

from __future__ import annotations

import re

BRACES = r"\{((?:[^{}]|\{[^{}]*\})*)\}"       # an argument, with braces one level deep
SPELLED = [
    (rf"\\d?frac{BRACES}{{(\\?\w+)}}", r"(\1)/\2"), (rf"\\d?frac{BRACES}{BRACES}", r"(\1)/(\2)"), (rf"\\sqrt{BRACES}", r"sqrt(\1)"),
    (r"\\dot (\w)", r"d\1/dt"), (r"\\tilde (\w)", r"\1"), (rf"\\(?:mathrm|mathcal){BRACES}", r"\1"), (r"\\langle ", "<"),
    (r" \\rangle", ">"), (r"\\,", " "), (r"\\ell(?![a-zA-Z])", "l"),
    (r"\^\{(-?\w)\}", r"^\1"), (r"\^\{([^{}]*)\}", r"^(\1)"), (r"_\{([^{}]*)\}", r"_\1"),
]
WORDS = {"to": "->", "infty": "infinity", "pm": "+-", "mid": "|", "leq": "<=", "le": "<=", "geq": ">=", "ge": ">=", "gg": ">>",
         "ll": "<<", "sim": "~", "approx": "~", "propto": "~", "lvert": "|", "rvert": "|"}


def as_plain(sentence: str) -> str:
    """Return the sentence with its formulas as plain text."""
    return re.sub(r"\$([^$]*)\$", lambda found: _formula(found[1]), sentence)


def _formula(text: str) -> str:
    r"""Return a short formula in LaTeX as plain text: ``\eta_\mathrm{min}`` as eta_min; two letters are two words."""
    for pattern, plain in SPELLED:
        text = re.sub(pattern, plain, text)
    text = re.sub(r"(?<=\w)(?<!\bd)(?=\\[a-zA-Z])", " ", text)
    text = re.sub(r"\\([a-zA-Z]+)", lambda found: WORDS.get(found[1], found[1]), text)
    return " ".join(re.sub(r"[{}]", "", text).split())
