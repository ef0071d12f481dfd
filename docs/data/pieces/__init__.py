"""The campaign's experiments, each cut into parts of minutes; `docs/data/campaign.py` runs them and keeps what they measured."""
