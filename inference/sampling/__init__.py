"""Where completions come from and in which order: samplers, their options, the scheduler.

In: prompts. Out: completions, run as they arrive and kept in a journal that survives a kill.
"""
