"""Measurements of speed, of quality and of agreement with the official evaluators."""
