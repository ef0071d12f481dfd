"""Observe trained runs: train at chosen rates, measure observables after chosen steps, detect phenomena."""
