"""Training rows for SFT, GRPO and the merge model, with a card that describes each file.

In: questions, candidates, SynSQL records. Out: JSON Lines in TRL's prompt/completion form.
May import consistency, cli and the rooms before them.
"""
