"""Turns a sweep into its trials, each with a frozen config."""
