"""The library, in rooms ordered along a question's journey. A room imports only rooms above it.

errors, files          errors of users; JSON and JSON Lines
sql                    SQL text: tokens, quoting, syntax trees
match                  when two results agree: bird, spider, strict
execution              runs SQL in sandboxed workers; the only room that opens databases
questions              questions and where they come from; the words of a text
schema                 a database's tables, columns and keys, and their text
values                 values of a database that a question mentions
prompt                 what a model reads, and what its completion says
grammar                which tokens can continue a SELECT statement over a database
cli                    options of programs: config file, then command line
consistency            candidates, voting, revision: inference after sampling, without a model
rows                   training rows in files
training               what SFT and GRPO share
sampling               samplers (vLLM, endpoints, transformers, llama.cpp), scheduler, journal
suites                 databases that a program makes: for evaluation, and neighbours against luck
evaluation             scores, intervals, comparisons; Spider's exact-set match and difficulty
page                   the HTML report
server                 one question at a time: in a terminal, over HTTP, as a tool of an assistant
commands               the programs of the installed package: `slmsql ask`, `slmsql evaluate` ...

`tests/test_layers.py` checks the order. Nothing here imports torch when it is loaded.
"""
