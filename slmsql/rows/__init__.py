"""Training rows for SFT, GRPO and the merge model, with a card that says what is in the file.

In: questions, candidates, SynSQL records. Out: JSON Lines in TRL's prompt/completion form.
Imports consistency, cli and the rooms above them.
"""
