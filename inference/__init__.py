"""The programs that answer questions: generate, vote, revise, csc (all three), join, ask, serve.

In: a model, questions and their databases. Out: candidates, predictions, answers over HTTP.
Imports slmsql alone; vLLM and transformers only when a model is loaded.
"""
