"""A sample is one line of a table, whatever a model wrote."""

from slmsql.training.samples import as_markdown

SAMPLE = {"id": "1", "question": "Who\nsings?", "correct": None, "status": "error", "more": 1}


def test_no_text_breaks_the_table():
    table = as_markdown([{**SAMPLE, "sql": "SELECT a || 'b'\n-- \udc80", "error": None}])
    assert table.splitlines() == [
        "| id | question | sql | correct | status | error |",
        "| --- | --- | --- | --- | --- | --- |",
        r"| 1 | Who sings? | SELECT a \|\| 'b' -- \udc80 |  | error |  |",
    ]
