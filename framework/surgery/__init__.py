"""Puts computed weights into Keras layers; only this folder knows Keras's private parts."""
