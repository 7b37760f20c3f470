"""The programs that answer questions: generate, vote, revise, csc (all three), join, ask, serve.

In: a model, questions and their databases. Out: candidates, predictions, answers over HTTP.
Imports slmsql alone. vote, ask, serve and mcp_server are commands of the package `slmsql`, too.
"""
