"""Measurements: how fast, how exact, how much better. Each prints what it measured on what."""
