"""The campaign's experiments, each cut into parts of minutes; `docs/data/campaign.py` runs and stores them."""
