"""Measures a model: its metrics on every split, and what it has and does."""
