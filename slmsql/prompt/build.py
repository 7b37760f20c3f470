"""Prompts: the one place that words what a model reads, in training and at inference alike.

A template is a text file, so that a user can point to another. Its form:

    layout: think
    ## system
    ...
    ## user
    ... $schema ... $question ... $evidence ...

`layout` says what an answer looks like: `think` (`<think>...</think><answer>...</answer>`) or
`sql` (the query and nothing else). A merge template has `$drafts` as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from string import Template as Text

from slmsql.errors import InputError
from slmsql.questions.question import Question
from slmsql.schema.budget import BudgetedSchema, fit
from slmsql.schema.model import Schema
from slmsql.schema.reading import plain_text, read_schema
from slmsql.values.finding import find_values

Messages = list[dict[str, str]]
FOLDER = Path(__file__).parent / "templates"


class Layout(StrEnum):
    """What a completion looks like."""

    THINK = "think"
    SQL = "sql"


@dataclass(frozen=True, slots=True)
class Template:
    """The texts of a system and a user message; `system` may be empty."""

    name: str
    layout: Layout
    system: str
    user: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A candidate query with its result as text, as the merge model sees it."""

    sql: str
    result: str


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """Everything that decides the text of a prompt besides the question.

    Training data, GRPO and inference must be given the same one; programs write it beside their
    output.
    """

    template: str = "think"
    sample_values: int = 2  # values shown of each column
    retrieve_values: bool = False  # search the database for values that the question speaks of
    schema_tokens: int = 0  # budget of the schema's text, by an estimate; 0: none


@dataclass(frozen=True, slots=True)
class BuiltPrompt:
    """A prompt, and how many columns of the schema it leaves out to stay within its budget."""

    messages: Messages
    left_out: int = 0


def build_prompt(question: Question, prompt_settings: PromptSettings) -> Messages:
    """The messages for a question: the one path from SFT, GRPO and inference to a prompt."""
    return compose(question, prompt_settings).messages


def compose(
    question: Question,
    prompt_settings: PromptSettings,
    *,
    change: Callable[[Schema], Schema] | None = None,
) -> BuiltPrompt:
    """As `build_prompt`, with what was left out; `change` alters the schema before (thinning)."""
    template = read_template(prompt_settings.template)
    if not (prompt_settings.retrieve_values or prompt_settings.schema_tokens or change):
        text = plain_text(question.database, sample_values=prompt_settings.sample_values)
        return BuiltPrompt(generation_prompt(question, text, template))
    schema = read_schema(
        question.database,
        sample_values=prompt_settings.sample_values,
        brief=prompt_settings.retrieve_values,
    )
    schema = change(schema) if change else schema
    asked = asked_text(question)
    found = find_values(asked, question.database) if prompt_settings.retrieve_values else {}
    fitted = BudgetedSchema(schema, 0)
    if prompt_settings.schema_tokens:
        fitted = fit(schema, found, asked, prompt_settings.schema_tokens)
    messages = generation_prompt(question, fitted.schema.text(found), template)
    return BuiltPrompt(messages, fitted.left_out)


def asked_text(question: Question) -> str:
    """What values are searched for: the hint often spells them as the database does."""
    return f"{question.evidence}\n{question.text}"


@cache
def read_template(name: str) -> Template:
    """Read a shipped template by name (`think`, `merge`, ...) or anyone's by path.

    Raises:
        InputError: there is no such template, or it is not in the form above.
    """
    path = FOLDER / f"{name}.txt" if "/" not in name and "." not in name else Path(name)
    if not path.is_file():
        shipped = sorted(file.stem for file in FOLDER.glob("*.txt"))
        raise InputError(f"no template {name!r}; give a path or one of {shipped}")
    return _template(path)


def generation_prompt(question: Question, schema: str, template: Template) -> Messages:
    """The messages that ask for the SQL of a question. `schema` is `Schema.text()`."""
    return _messages(template, {**_words(question), "schema": schema})


def revision_prompt(
    question: Question, schema: str, drafts: Sequence[Draft], template: Template
) -> Messages:
    """The messages that ask the merge model to settle between drafts."""
    words = {**_words(question), "schema": schema, "drafts": _drafts_text(drafts)}
    return _messages(template, words)


def target(thought: str, sql: str, layout: Layout) -> str:
    """The completion a model is taught, in the layout that its prompt asks for."""
    if layout is Layout.SQL:
        return sql
    return f"<think>\n{thought.strip()}\n</think>\n<answer>\n{sql.strip()}\n</answer>"


def _words(question: Question) -> dict[str, str]:
    evidence = question.evidence.strip()
    return {
        "question": question.text.strip(),
        "evidence": f"Hint: {evidence}\n" if evidence else "",
    }


def _messages(template: Template, words: dict[str, str]) -> Messages:
    roles = (("system", template.system), ("user", template.user))
    return [
        {"role": role, "content": _filled(text, words, template.name)}
        for role, text in roles
        if text
    ]


def _filled(text: str, words: dict[str, str], name: str) -> str:
    try:
        return Text(text).substitute(words).strip()
    except (KeyError, ValueError) as error:
        raise InputError(f"template {name}: {error}; it may use ${', $'.join(words)}") from error


def _drafts_text(drafts: Sequence[Draft]) -> str:
    return "\n\n".join(
        f"Draft {number}:\n{draft.sql}\nResult of draft {number}:\n{draft.result}"
        for number, draft in enumerate(drafts, start=1)
    )


def _template(path: Path) -> Template:
    head, _, rest = path.read_text(encoding="utf-8").partition("\n")
    _, is_user, user = rest.partition("## user\n")
    before = rest[: len(rest) - len(user) - len(is_user)]
    _, _, system = before.partition("## system\n")
    key, _, layout = head.partition(":")
    if key.strip() != "layout" or layout.strip() not in list(Layout) or not is_user:
        raise InputError(f"{path}: expected 'layout: think|sql', then '## system', '## user'")
    return Template(path.stem, Layout(layout.strip()), system.strip(), user.strip())
