r"""Read a formula in LaTeX as a reader of a page does, and return its numbers: an oracle for what the theory prints.

A logarithm without parentheses ends with the next letter. Nothing may follow it in its product: "\log \gamma \kappa" is read in two ways.
"""

import re

import mpmath

TOKEN = re.compile(r"\\[a-zA-Z]+|\\[,;]|[0-9]+|[a-zA-Z]'*|[^\s]")
FUNCTIONS = {"\\log": mpmath.log, "\\min": lambda *x: min(x), "arsinh": mpmath.asinh}
END = {")", "}", ",", ";", "=", "<", "+", "-", "\\rvert", "\\quad", "\\,", "end"}


class LatexReader:
    """Evaluate formulas; `numbers` holds the values of names as they are printed, `functions` those of names with arguments."""

    def __init__(self, numbers, functions):
        self.numbers, self.functions = dict(numbers), functions

    def read(self, text):
        """Return the numbers of the sides of a formula, which "=" or "<" separates; a condition after a quad is not read."""
        self.tokens = [token for token in TOKEN.findall(text) if token not in ("\\left", "\\right")] + ["end"]
        sides = [self._sum()]
        while self.tokens[0] in ("=", "<"):
            self.tokens.pop(0)
            sides.append(self._sum())
        if self.tokens[0] not in ("end", "\\quad"):
            raise ValueError(f"{self.tokens} is left of {text}")
        return sides

    def _take(self, *expected):
        token = self.tokens.pop(0)
        if expected and token not in expected:
            raise ValueError(f"{token} in place of {expected}, before {self.tokens}")
        return token

    def _sum(self):
        total = mpmath.mpf(0) if self.tokens[0] == "-" else self._product()
        while self.tokens[0] in ("+", "-"):
            total += self._product() if self._take() == "+" else -self._product()
        return total

    def _product(self):
        value = self._power()
        while self.tokens[0] not in END:
            if self.tokens[0] == "\\cdot":
                self._take()
            if self.tokens[0] == "/":
                self._take()
                value /= self._power()
            else:
                value *= self._power()
        return value

    def _power(self):
        value = self._atom()
        if self.tokens[0] == "^":
            self._take()
            value **= self._group()
        return value

    def _group(self):
        """Read the argument of a macro."""
        if self.tokens[0] != "{":
            return self._atom()
        self._take()
        value = self._sum()
        self._take("}")
        return value

    def _raw(self):
        """Return an index as text, without its braces."""
        if self.tokens[0] != "{":
            return self._take()
        self._take()
        text, depth = "", 1
        while depth:
            token = self._take()
            depth += {"{": 1, "}": -1}.get(token, 0)
            text += token if depth and token not in ("{", "}", "\\mathrm") else ""
        return text

    def _arguments(self, *separators):
        self._take("(")
        values = [self._sum()]
        while self.tokens[0] in separators:
            self._take()
            values.append(self._sum())
        self._take(")")
        return values

    def _atom(self):
        token = self._take()
        if token.isdigit():
            return mpmath.mpf(token)
        if token == "(":
            value = self._sum()
            self._take(")")
            return value
        if token == "\\lvert":
            value = abs(self._sum())
            self._take("\\rvert")
            return value
        if token == "{" and self.tokens[0] == "}":
            return self._hypergeometric()
        if token == "{":
            name = "".join(iter(self._take, "}"))
            return self.numbers[name]
        if token == "\\frac":
            return self._fraction()
        if token == "\\sqrt":
            return mpmath.sqrt(self._group())
        if token == "\\int":
            return self._integral()
        if token == "\\operatorname":
            token = self._raw()
        if token == "\\log" and self.tokens[0] != "(":
            value = mpmath.log(self._atom())
            if self.tokens[0] not in END | {"\\log"}:
                raise ValueError(f"a factor follows a logarithm without parentheses: {self.tokens}")
            return value
        if token in FUNCTIONS:
            return FUNCTIONS[token](*self._arguments(","))
        return self._name(token)

    def _name(self, name):
        if self.tokens[0] == "_":
            self._take()
            name += f"_{self._raw()}"
        name += "'" * sum(1 for _ in iter(lambda: self.tokens[0] == "'" and self._take(), False))
        if name == "W_-1":
            return mpmath.lambertw(*self._arguments(), -1).real
        if self.tokens[0] == "(" and name in self.functions:
            return self.functions[name](*self._arguments(","))
        return mpmath.e if name == "e" else self.numbers[name]

    def _fraction(self):
        if self.tokens[1] == "d" and self.tokens[2] != "_":      # a derivative has a name, no value
            return self.numbers["d" + self._raw()[1:] + "/d" + self._raw()[1:]]
        above = self._group()
        return above / self._group()

    def _integral(self):
        self._take("_")
        low = self._group()
        self._take("^")
        high = self._group()
        start = list(self.tokens)
        end = next(i for i, token in enumerate(start) if token == "\\,")
        variable = start[end + 2]

        def integrand(x):
            self.tokens = [*start[:end], "end"]
            self.numbers[variable] = x
            return self._product()

        kept = self.numbers[variable]
        value = mpmath.quad(integrand, [low, high])
        self.numbers[variable], self.tokens = kept, start[end + 3:]
        return value

    def _hypergeometric(self):
        for token in "}_{":
            self._take(token)
        orders = self._take(), *(self._take() for _ in range(4))      # 2 } F _ {, then the second
        lower = self._take()
        self._take("}")
        self._take("(")
        values = [[]]
        while True:
            values[-1].append(self._sum())
            separator = self._take(",", ";", ")")
            if separator == ")":
                break
            if separator == ";":
                values.append([])
        above, below, (x,) = values
        if (len(above), len(below)) != (int(orders[0]), int(lower)):
            raise ValueError("the orders of a hypergeometric function are not those of its arguments")
        return mpmath.hyper(above, below, x)
