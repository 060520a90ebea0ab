"""Vectors that a model makes of sequences, and files of them."""
