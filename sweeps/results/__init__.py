"""Checks and summarises the results of trials."""
