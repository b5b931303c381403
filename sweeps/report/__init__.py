"""Shows results as tables and pictures."""
