"""Compiled code: what reads and changes the index's arrays, and the one way to compile it."""
