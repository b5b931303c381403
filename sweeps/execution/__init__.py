"""Runs trials and shows their progress."""
