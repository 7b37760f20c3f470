"""Where questions come from, and which of them may be trusted or trained on.

In: benchmark folders, JSON, JSON Lines, parquet, data sets on the hub. Out: `Question`.
Imports execution (to create databases from DDL and to audit gold queries) and the rooms above it.
"""
