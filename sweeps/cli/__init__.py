"""Implements the command line `lambdapress`."""
