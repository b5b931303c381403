"""Loads a trial's model, and measures the files that it is exported to."""
