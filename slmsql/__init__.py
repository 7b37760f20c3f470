"""The library, in rooms along the way of a question. A room imports only rooms above it.

errors, files, words   what a user can put right; JSON Lines and JSON; words of a text
sql                    SQL text: tokens, quoting, syntax trees
match                  when two results agree: bird, spider, strict
execution              runs SQL in sandboxed workers; the only room that opens databases
questions              a question and where it comes from
schema                 a database's tables, columns and keys, as text
values                 values of a database that a question mentions
prompt                 what a model reads, and what its completion says
cli                    options of programs: config file, then command line
consistency            candidates, voting, revision: the method at inference, without a model
rows                   training rows in files
training               what SFT and GRPO share
spider                 Spider's exact-set match and difficulty
evaluation             scores, intervals, comparisons
official               the benchmarks' own evaluators, from a checkout of theirs
suites                 evaluation databases made by a program
page                   the HTML report

`tests/test_layers.py` holds the order. Nothing here imports torch.
"""
