"""Finds, reads and checks gin config text, and keeps it out of gin's global state."""
