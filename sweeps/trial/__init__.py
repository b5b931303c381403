"""Runs one trial (one task, algorithm, λ and seed) from its frozen config to its result."""
