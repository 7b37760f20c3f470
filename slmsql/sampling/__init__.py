"""Where completions come from and in which order: samplers, their options, the scheduler.

In: prompts. Out: completions with their executed SQL, kept in a journal that survives a kill.
vLLM, transformers and llama.cpp are imported when a model is loaded.
May import training, consistency and the rooms before them.
"""
