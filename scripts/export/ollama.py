"""An Ollama Modelfile that gives a model what training gave it: the same words around each message.

Ollama words prompts by a template in Go's language instead of the model's own. It is derived from
what the chat template renders, and `render` fills it by Go's rules, so that both can be compared.
"""

import re
from dataclasses import dataclass
from string import Template as StringTemplate
from typing import Any

from scripts.export.checkpoint import Checkpoint
from slmsql.errors import InputError
from slmsql.prompt.build import Messages, Template

SYSTEM, PROMPT = "\ue000", "\ue001"  # stand for a message; no chat template has these characters
ACTION = re.compile(r"\{\{-? *(if|else|end)? *(?:\.(\w+))? *-?\}\}")
CONTEXT_LENGTH = 8192  # tokens; Ollama's default cuts long schemas off without a word


def go_template(tokenizer: Any) -> str:
    """The chat template for one question, with or without a system message, in Go's language.

    Raises:
        InputError: the chat template does not keep the messages as they are.
    """
    user = {"role": "user", "content": PROMPT}
    with_system = chat_text(tokenizer, [{"role": "system", "content": SYSTEM}, user])
    alone = chat_text(tokenizer, [user])
    if [char for char in with_system if char in (SYSTEM, PROMPT)] != [SYSTEM, PROMPT]:
        raise InputError("the chat template has no system message before the question")
    if "{{" in with_system + alone or '"""' in with_system + alone:
        raise InputError("the chat template writes '{{' or three quotes, which a Modelfile cannot")
    text = f"{{{{ if .System }}}}{with_system}{{{{ else }}}}{alone}{{{{ end }}}}{{{{ .Response }}}}"
    return text.replace(SYSTEM, "{{ .System }}").replace(PROMPT, "{{ .Prompt }}")


def chat_text(tokenizer: Any, messages: Messages) -> str:
    """What the model's own chat template renders, up to the start of the answer."""
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return str(text)


def modelfile(checkpoint: Checkpoint, template: Template, file_name: str) -> str:
    """The Modelfile for a GGUF file that lies beside it.

    Args:
        template: the prompt that the model was trained on. Its system message is the default if it
            is the same for all questions about SQLite databases, that is, if it shows no schema.
    """
    tokenizer = checkpoint.tokenizer
    ends = [tokenizer.convert_ids_to_tokens(number) for number in checkpoint.ends]
    system = StringTemplate(template.system).safe_substitute(dialect="SQLite")
    system = "" if "$" in system else system
    if '"""' in system:
        raise InputError(f"template {template.name}: three quotes end a text in a Modelfile")
    lines = [
        f"FROM ./{file_name}",
        f'TEMPLATE """{go_template(tokenizer)}"""',
        *([f'SYSTEM """{system}"""'] if system else []),
        *(f'PARAMETER stop "{end}"' for end in ends),
        "PARAMETER temperature 0",
        f"PARAMETER num_ctx {min(checkpoint.context_length, CONTEXT_LENGTH)}",
    ]
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class _Branch:
    """An `if` that is open: whether its text so far is shown, and whether the rest may be."""

    shown: bool
    other: bool


def render(template: str, values: dict[str, str]) -> str:
    """Fill a template by the rules of Go's text/template, as far as `go_template` uses them.

    A value stands for itself, an empty one is false, and white space stays beside `{{ }}`.
    """
    parts: list[str] = []
    branches: list[_Branch] = []
    position = 0
    for action in ACTION.finditer(template):
        shown = all(branch.shown for branch in branches)
        parts += [template[position : action.start()]] if shown else []
        position = action.end()
        word, name = action.groups()
        if word == "if":
            is_true = bool(values.get(name))
            branches.append(_Branch(is_true, not is_true))
        elif word == "else":
            branches[-1].shown = branches[-1].other
        elif word == "end":
            branches.pop()
        elif shown:
            parts.append(values.get(name, ""))
    return "".join([*parts, template[position:]])
