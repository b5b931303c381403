"""Provides callbacks and checkpoints for training, in addition to Keras's."""
