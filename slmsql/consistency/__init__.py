"""Corrective self-consistency without a model: candidates are grouped by result, vote, are revised.

In: several SQL candidates a question, and what a merge model answered. Out: `Prediction`.
Imports prompt, schema, values, execution and the rooms above them.
"""
