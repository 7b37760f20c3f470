"""What SFT and GRPO share: reading rows, checkpoints and resume, validation, the run's record.

In: rows and TRL's arguments. Out: checks before a model is loaded, files beside its weights.
Imports rows, consistency and the rooms above them; torch and TRL only inside functions.
"""
