"""Options of command lines that write one figure into a folder. A command's help imports nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class FileOptions:
    """How a command's one figure is written.

    Parameters
    ----------
    format
        Write the figure as PDF or SVG in place of PNG.
    width
        The width of the figure in inches; 3.4 is one column of a paper.
    """

    format: Literal["png", "pdf", "svg"] = "png"
    width: float = 3.4

    def prepare(self, out: Path, stem: str) -> Path:
        """Return the folder of the figure; `Misuse` if it cannot be written, or would replace a picture of another program."""
        from validation.arguments import between, choose
        from validation.reporting.folder import refuse_picture
        from validation.storage.files import check_writable

        choose("format", self.format, ("png", "pdf", "svg"))
        between("width", self.width, 2, 40)
        folder = check_writable(out)
        refuse_picture(folder / f"{stem}.{self.format}")
        return folder

    def write(self, figure: Any, folder: Path, stem: str) -> Path:
        """Write the figure into the folder, and return its path."""
        from validation.plotting.figures import image
        from validation.reporting.folder import publish_picture

        return publish_picture(folder / f"{stem}.{self.format}", image(figure, self.format))
