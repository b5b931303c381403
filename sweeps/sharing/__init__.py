"""Takes results to where others look for them: model cards, experiment trackers."""
