"""A warning stands at the line of the user's file."""

import subprocess
import sys

import pytest

from validation.user_warnings import warn_user


def test_it_is_the_callers_line():
    with pytest.warns(UserWarning, match="slow") as caught:
        warn_user("slow")
    assert caught[0].filename == __file__


def test_frames_of_the_packages_are_passed_over(tmp_path):
    """The name of a module decides, and not how deep the call is."""
    (tmp_path / "user.py").write_text("""
import types
from validation import user_warnings

inside = types.ModuleType("deepnets.somewhere")
inside.warn_user = user_warnings.warn_user
exec("def deep(n):\\n    warn_user('slow') if n == 0 else deep(n - 1)", inside.__dict__)
inside.deep(5)      # line 8
""")
    done = subprocess.run([sys.executable, tmp_path / "user.py"], capture_output=True, text=True, check=True)
    assert "user.py:8: UserWarning: slow" in done.stderr
