"""Exports models to files that are served."""
