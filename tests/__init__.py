"""Tests: one package, so that no other distribution can shadow it."""
