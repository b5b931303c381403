"""Gin files for tasks, algorithms and sweeps: every default a user may want to change."""
