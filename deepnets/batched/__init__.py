"""Stacks: many runs of one network trained as one batch, each with its own u, gamma and eta."""
