"""Writes and reads the bytes of an `.lpz` file, the container; knows nothing of Keras."""
