"""Doors into other harnesses (verifiers, lm-evaluation-harness): our prompts, our judge."""
