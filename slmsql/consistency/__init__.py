"""Corrective self-consistency without a model: group candidates by result, vote, revise.

In: several SQL candidates for each question, and the merge model's revisions. Out: one
`Prediction` per question. Imports prompt, schema, values, execution, and what those import.
"""
