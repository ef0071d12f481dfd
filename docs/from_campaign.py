"""What the site says of the campaign on a GPU, from the files that it has left: directives as of `from_code`."""

from __future__ import annotations

import sys
from pathlib import Path

from from_code import cell, render, table

CAMPAIGN = Path(__file__).parent / "data"
sys.path.append(str(CAMPAIGN))       # for campaign and its pieces


def campaign_findings() -> str:
    """Return what the campaign's files say, each claim judged while the page is built."""
    from pieces.verdicts import rows

    found = list(rows(CAMPAIGN / "campaign"))
    if not found:
        return "**Nothing yet:** there was no GPU. Every piece below is left."
    return table(("piece", "figure", "what", "claimed", "measured", "95% interval", "verdict", "device"), [
        (f"`{row.name}`", row.figure, cell(row.what), f"{row.claimed:.3g}", f"{row.measured:.3g}",
         f"{row.interval[0]:.3g} to {row.interval[1]:.3g}", row.outcome, cell(row.device)) for row in found])


def campaign_exponents() -> str:
    from pieces.side_by_side import markdown

    return markdown(CAMPAIGN / "campaign", cell)


def campaign_plan() -> str:
    import campaign
    from pieces.estimates import H200

    return campaign.plan(list(campaign.pieces("full", "cpu", shapes=True)), CAMPAIGN / "campaign", H200)


def setup(app) -> dict:
    for maker in (campaign_findings, campaign_exponents, campaign_plan):
        render(app, maker)
    return {"parallel_read_safe": True}
