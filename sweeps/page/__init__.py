"""The report as one HTML file, and the same figures for notebooks."""
