"""Saves models to disk, and loads models and weights from disk."""
