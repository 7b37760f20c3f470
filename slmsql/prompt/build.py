"""Builds prompts: the one place that words what a model reads, for training and inference alike.

A template is a text file; users can point to their own. Its form:

    layout: think
    ## system
    ...
    ## user
    ... $dialect ... $schema ... $question ... $evidence ...

`layout` is the form of the answer: `think` (`<think>...</think><answer>...</answer>`) or `sql` (the
query and nothing else). A merge template also uses `$drafts`.

`$schema` is CREATE TABLE statements with sample values. A template with `$short_schema` instead
shows names and foreign keys, with only the values that the question mentions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from string import Template as StringTemplate

from slmsql.errors import InputError
from slmsql.execution.engines.address import dialect_of
from slmsql.files import file_hash
from slmsql.questions.question import Question
from slmsql.schema.budget import BudgetedSchema, cut_to_budget
from slmsql.schema.model import RetrievedValues, Schema
from slmsql.schema.reading import read_schema, schema_text
from slmsql.schema.short import short_text
from slmsql.values.finding import find_values

Messages = list[dict[str, str]]
FOLDER = Path(__file__).parent / "templates"


class Layout(StrEnum):
    """The form of a completion."""

    THINK = "think"
    SQL = "sql"


@dataclass(frozen=True, slots=True)
class Template:
    """The texts of the system and the user message; `system` may be empty."""

    name: str
    layout: Layout
    system: str
    user: str

    @property
    def is_short(self) -> bool:
        """Whether it shows the schema in its short form."""
        return "short_schema" in self.system + self.user


@dataclass(frozen=True, slots=True)
class Draft:
    """A candidate's SQL and its result as text, as the merge model reads them."""

    sql: str
    result: str


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """All that decides the text of a prompt besides the question.

    SFT data, GRPO and inference must use the same settings, so programs write them beside their
    output.
    """

    template: str = "think"
    sample_values: int = 2  # values shown of each column; none in a short schema
    retrieve_values: bool = False  # search the database for values that the question mentions
    schema_tokens: int = 0  # budget of the schema's text, in estimated tokens; 0: no limit


@dataclass(frozen=True, slots=True)
class BuiltPrompt:
    """A prompt, and the number of columns left out to keep the schema within its budget."""

    messages: Messages
    columns_left_out: int = 0


def build_prompt(
    question: Question,
    prompt_settings: PromptSettings,
    *,
    change_schema: Callable[[Schema], Schema] | None = None,
) -> BuiltPrompt:
    """Build the prompt for a question: the one function that SFT, GRPO and inference use.

    Args:
        question: the question; its database is read.
        prompt_settings: the template and what the prompt shows of the database.
        change_schema: applied to the schema before values and budget, e.g. `random_subset`.

    Raises:
        InputError: the template does not exist or is malformed, or the database is not one.
        FileNotFoundError: the database is missing.
    """
    template = read_template(prompt_settings.template)
    is_short = template.is_short
    sample_values = 0 if is_short else prompt_settings.sample_values
    retrieve_values, budget = prompt_settings.retrieve_values, prompt_settings.schema_tokens
    if not (is_short or retrieve_values or budget or change_schema):
        text = schema_text(question.database, sample_values=sample_values)
        return BuiltPrompt(generation_prompt(question, text, template))
    schema = read_schema(question.database, sample_values=sample_values, brief=retrieve_values)
    if change_schema:
        schema = change_schema(schema)
    asked = question.text_with_evidence
    values: RetrievedValues = {}
    if retrieve_values:
        values = find_values(asked, question.database, small_columns=not is_short)
    form = short_text if is_short else Schema.text
    budgeted = BudgetedSchema(schema)
    if budget:
        budgeted = cut_to_budget(schema, values, asked, budget, form)
    messages = generation_prompt(question, form(budgeted.schema, values), template)
    return BuiltPrompt(messages, budgeted.columns_left_out)


@cache
def read_template(name: str) -> Template:
    """Read a shipped template by name (`think`, `merge`, ...) or any other by path.

    Raises:
        InputError: the template does not exist, or it is not in the form above.
    """
    path = _template_path(name)
    head, _, rest = path.read_text(encoding="utf-8").partition("\n")
    before, user_heading, user = rest.partition("## user\n")
    _, _, system = before.partition("## system\n")
    key, _, layout = head.partition(":")
    if key.strip() != "layout" or layout.strip() not in list(Layout) or not user_heading:
        raise InputError(f"{path}: expected 'layout: think|sql', then '## system', '## user'")
    return Template(path.stem, Layout(layout.strip()), system.strip(), user.strip())


def template_hash(name: str) -> str:
    """The hash of a template's text, which changes when the template is edited.

    Raises:
        InputError: the template does not exist.
    """
    return file_hash(_template_path(name))


def _template_path(name: str) -> Path:
    path = FOLDER / f"{name}.txt" if "/" not in name and "." not in name else Path(name)
    if not path.is_file():
        shipped = sorted(file.stem for file in FOLDER.glob("*.txt"))
        raise InputError(f"no template {name!r}; give a path or one of {shipped}")
    return path


def generation_prompt(question: Question, schema: str, template: Template) -> Messages:
    """The messages that ask for the SQL of a question.

    Args:
        schema: the schema's text, in the form that the template asks for.
    """
    field = "short_schema" if template.is_short else "schema"
    return _messages(template, question, {field: schema})


def revision_prompt(
    question: Question, schema: str, drafts: Sequence[Draft], template: Template
) -> Messages:
    """The messages that ask the merge model to choose between drafts or to correct them."""
    drafts_text = "\n\n".join(
        f"Draft {number}:\n{draft.sql}\nResult of draft {number}:\n{draft.result}"
        for number, draft in enumerate(drafts, start=1)
    )
    return _messages(template, question, {"schema": schema, "drafts": drafts_text})


def target(thought: str, sql: str, layout: Layout) -> str:
    """The completion to train on, in the layout that the prompt asks for."""
    if layout is Layout.SQL:
        return sql
    return f"<think>\n{thought.strip()}\n</think>\n<answer>\n{sql.strip()}\n</answer>"


def _messages(template: Template, question: Question, fields: dict[str, str]) -> Messages:
    """Fill the template; a message without text is left out."""
    evidence = question.evidence.strip()
    fields = {
        "question": question.text.strip(),
        "evidence": f"Hint: {evidence}\n" if evidence else "",
        **fields,
        "dialect": dialect_of(question.database).label,
    }
    try:
        return [
            {"role": role, "content": StringTemplate(text).substitute(fields).strip()}
            for role, text in (("system", template.system), ("user", template.user))
            if text
        ]
    except (KeyError, ValueError) as error:
        raise InputError(
            f"template {template.name}: {error}; it may use ${', $'.join(fields)}"
        ) from error
