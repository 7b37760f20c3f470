"""How many tokens does each prompt layout take of a model?

    python scripts/bench/prompt_tokens.py --benchmark spider --root SPIDER --split train \\
        --tokenizer models/smollm2

Builds the prompt of every question with each template, values retrieved, and counts it with the
model's tokenizer and chat template. A small model trains on several times as many questions in the
same time if its prompts are short (docs/speedrun.md).
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.errors import run_program
from slmsql.files import write_json
from slmsql.prompt.build import PromptSettings, build_prompt
from slmsql.prompt.tokens import count_tokens
from slmsql.questions.question import Question, with_databases


@dataclass(kw_only=True)
class Options(SourceOptions):
    tokenizer: str = field(metadata={"help": "model whose tokenizer counts: folder or hub name"})
    templates: list[str] = field(
        default_factory=lambda: ["short", "schema"], metadata={"help": "prompt templates"}
    )
    retrieve_values: bool = field(
        default=True, metadata={"help": "search the database for values that the question names"}
    )
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})


def main() -> None:
    options = parse(Options, about=__doc__)
    questions, missing = with_databases(options.read_all())
    print(f"{len(questions)} questions ({len(missing)} without database)")
    figures = {}
    for template in options.templates:
        settings = PromptSettings(template, retrieve_values=options.retrieve_values)
        figures[template] = measure(questions, settings, options.tokenizer)
        print(f"{template}: {figures[template]}")
    if options.json:
        write_json(options.json, figures)


def measure(
    questions: Sequence[Question], settings: PromptSettings, tokenizer: str
) -> dict[str, float]:
    """Tokens of a prompt with the chat template around it."""
    tokens = sorted(
        count_tokens(build_prompt(question, settings).messages, tokenizer) for question in questions
    )
    return {
        "mean": round(statistics.mean(tokens), 1),
        "median": statistics.median(tokens),
        "p95": tokens[int(0.95 * len(tokens))],
        "longest": tokens[-1],
    }


if __name__ == "__main__":
    run_program(main)
