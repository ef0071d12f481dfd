"""The gallery's scraper: save new figures with their labels as alternative text, and the findings with what is asserted of each."""

from __future__ import annotations

from pathlib import Path


def save_figures(block, block_vars, gallery_conf) -> str:
    """Save the figures and findings of a block; called by sphinx-gallery."""
    from matplotlib.figure import Figure
    from sphinx_gallery.scrapers import figure_rst

    from gallery import Findings
    from gallery.assertions import examine_block
    from validation.plotting.figures import image

    _, source, _ = block
    examine_block(source, block_vars["example_globals"])
    paths, labels = [], []
    for value in list(block_vars["example_globals"].values()):
        if isinstance(value, Figure) and not hasattr(value, "saved"):
            value.saved = True
            paths.append(next(block_vars["image_path_iterator"]))
            labels.append(value.get_label())
            assert labels[-1], f"{block_vars['src_file']}: every figure needs a label"
            Path(paths[-1]).write_bytes(image(value))
        elif isinstance(value, Findings):
            value.write(Path(block_vars["target_file"]).with_suffix(".findings.json"))
    return figure_rst(paths, gallery_conf["src_dir"], ". ".join(labels))
