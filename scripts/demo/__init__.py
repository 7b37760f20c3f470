"""The parts of the quickstart: its data, its tiny model, its stages and its table."""
