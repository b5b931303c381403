"""Computes with sizes and metrics: Pareto fronts, Bjøntegaard's deltas, intervals, tests. Pure functions."""
