"""Converts models between their forms: plain, compressible and compressed."""
