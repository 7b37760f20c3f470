"""One self-contained HTML page for one or several runs.

    python scripts/report.py --runs RUN [RUN ...] --output report.html
    python scripts/report.py --stages stages.json --curves GRPO=grpo/trainer_state.json \\
        --output report.html

A run is a folder that evaluate.py has written; NAME=FOLDER names it. With two or more, the page
says what the last has gained over the first and what it has lost.

stages.json is a list of figures in the order of the table, or {"title": ..., "about": ...,
"stages": [...], "notes": [...]}. A figure is
    {"name": "SFT, greedy", "value": 71.8, "n": 500, "interval": [67.8, 75.6], "note": "..."}
with shares in percent; "note", "n", "interval" may be left out. Instead of value, n and interval
it may have "report": a report.json, relative to stages.json.

A curve is NAME=FILE, FILE a trainer_state.json of TRL or transformers.
"""

from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.files import Record, read_json, write_text
from slmsql.page import page, section
from slmsql.page.curves import line_charts, read_curves
from slmsql.page.figures import Figure, bars, figure_table, read_figure
from slmsql.page.markup import Html, element, text
from slmsql.page.reading import read_run
from slmsql.page.runs import run_sections


@dataclass
class Options:
    output: str = field(metadata={"help": "HTML file to write"})
    runs: list[str] = field(default_factory=list, metadata={"help": "folders, or NAME=FOLDER"})
    stages: str = field(default="", metadata={"help": "JSON of figures, as described above"})
    curves: list[str] = field(default_factory=list, metadata={"help": "NAME=trainer_state.json"})
    published: str = field(
        default="", metadata={"help": "set with published numbers: spider dev, bird dev ..."}
    )
    title: str = field(default="", metadata={"help": "heading of the page"})

    def __post_init__(self) -> None:
        if not (self.runs or self.stages or self.curves):
            raise ValueError("nothing to report: give --runs, --stages or --curves")


def main() -> None:
    options = parse(Options, about=__doc__)
    stages = _stages(Path(options.stages)) if options.stages else {}
    sections = [*_stage_sections(stages, options.stages)]
    sections += [_training(word) for word in options.curves]
    runs = [read_run(word) for word in options.runs]
    sections += run_sections(runs, options.published)
    if notes := stages.get("notes"):
        sections.append(section("Notes", *(element("p", text(note)) for note in notes)))
    title = options.title or str(stages.get("title", "Evaluation"))
    write_text(Path(options.output), page(title, *sections, about=str(stages.get("about", ""))))
    print(f"{options.output}: written")


def _stages(file: Path) -> Record:
    content = read_json(file)
    found = {"stages": content} if isinstance(content, list) else content
    if not isinstance(found, dict) or not isinstance(found.get("stages"), list):
        raise InputError(f"{file}: expected a list of figures, or an object with 'stages'")
    return found


def _stage_sections(stages: Record, file: str) -> list[Html]:
    if not stages:
        return []
    figures = [
        _figure(record, Path(file), position) for position, record in enumerate(stages["stages"])
    ]
    about = str(stages.get("unit", "Execution accuracy in percent; the thin line is the interval."))
    return [section("Stage by stage", bars(figures), figure_table(figures), about=about)]


def _figure(record: Record, file: Path, position: int) -> Figure:
    where = f"{file}, figure {position}"
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected an object, got {record!r:.80}")
    if "report" in record:
        record = {**read_json(file.parent / record["report"]), **record}
    return read_figure(record, where)


def _training(word: str) -> Html:
    name, separator, file = word.partition("=")
    if not separator:
        raise InputError(f"--curves {word}: expected NAME=FILE")
    return section(f"Training: {name}", line_charts(read_curves(Path(file))))


if __name__ == "__main__":
    run_program(main)
