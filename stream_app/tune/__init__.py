"""Tuning: the engine's parameters by a search on a validation cut of the training data."""
