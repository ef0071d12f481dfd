"""Leave out the files that need the command line's packages where these are missing, as on a machine with torch alone."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("cyclopts") else [
    "deepnets/test_cli.py", "deepnets/test_main.py", "deepnets/test_theory.py", "deepnets/diffusion/test_diffusion_files.py",
    "toymodels/test_default_plane.py"]
