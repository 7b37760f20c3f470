"""Write one HTML page about evaluated runs, training curves and the stages of a chain.

    slmsql report --runs RUN [RUN ...] --output report.html
    slmsql report --stages stages.json --curves GRPO=grpo/trainer_state.json \\
        --output report.html

The page loads nothing from elsewhere. A run is a folder that `slmsql evaluate` has written;
NAME=FOLDER names it. With two or more runs, the page compares the others with the first.

stages.json is a list of figures in the order of the table:
    [{"name": "SFT, greedy", "value": 71.8, "n": 500, "interval": [67.8, 75.6], "note": "..."}]
Values are in percent; "n", "interval" and "note" are optional. A figure may name a report of
`slmsql evaluate` instead of its own value, with a path relative to stages.json:
    [{"name": "SFT, greedy", "report": "sft_greedy/report.json"}]
The list may stand in an object: {"title": ..., "about": ..., "stages": [...], "notes": [...]}.

A curve is NAME=FILE, where FILE is a trainer_state.json of TRL or transformers.
"""

from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from slmsql.errors import InputError
from slmsql.files import Record, read_json, read_json_object, write_text
from slmsql.page import page, render
from slmsql.page.curves import line_chart, read_curves
from slmsql.page.figures import Figure, read_figure
from slmsql.page.reading import check_same_data, one_match_mode, read_run
from slmsql.page.runs import run_sections


@dataclass
class Options:
    output: str = field(metadata={"help": "HTML file to write"})
    runs: list[str] = field(
        default_factory=list, metadata={"help": "folders of `slmsql evaluate`, or NAME=FOLDER"}
    )
    match: str = field(
        default="", metadata={"help": "match mode of the page; by default that of the runs"}
    )
    different_data: bool = field(
        default=False, metadata={"help": "show runs on different questions or databases, too"}
    )
    stages: str = field(default="", metadata={"help": "JSON file with figures, as described above"})
    curves: list[str] = field(
        default_factory=list, metadata={"help": "training curves, as NAME=trainer_state.json"}
    )
    published: str = field(
        default="",
        metadata={"help": "show published figures for this set: spider dev, bird dev ..."},
    )
    title: str = field(default="", metadata={"help": "heading of the page"})

    def __post_init__(self) -> None:
        if not (self.runs or self.stages or self.curves):
            raise ValueError("nothing to report: give --runs, --stages or --curves")


def main(options: Options) -> None:
    stages = _read_stages(Path(options.stages)) if options.stages else {}
    sections = []
    if stages:
        sections.append(_stages_section(stages, Path(options.stages)))
    sections += [_training_section(argument) for argument in options.curves]
    runs = [read_run(argument) for argument in options.runs]
    if runs:
        runs = one_match_mode(runs, options.match)
    if not options.different_data:
        check_same_data(runs)
    sections += run_sections(runs, options.published)
    if notes := stages.get("notes"):
        sections.append(render("notes.html", notes=notes))
    title = options.title or str(stages.get("title", "Evaluation"))
    write_text(Path(options.output), page(title, sections, about=str(stages.get("about", ""))))
    print(f"{options.output}: written")


def _read_stages(file: Path) -> Record:
    content = read_json(file)
    stages = {"stages": content} if isinstance(content, list) else content
    if not isinstance(stages, dict) or not isinstance(stages.get("stages"), list):
        raise InputError(f"{file}: expected a list of figures, or an object with 'stages'")
    return stages


def _stages_section(stages: Record, file: Path) -> Markup:
    figures = [_figure(record, file, position) for position, record in enumerate(stages["stages"])]
    about = "Execution accuracy in percent. The thin line is the 95 % interval."
    return render("stages.html", figures=figures, about=str(stages.get("unit", about)))


def _figure(record: Record, file: Path, position: int) -> Figure:
    where = f"{file}, figure {position}"
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected an object, got {record!r:.80}")
    if "report" in record:
        if not isinstance(record["report"], str):
            raise InputError(f"{where}: 'report' must be a path, got {record['report']!r:.80}")
        record = {**read_json_object(file.parent / record["report"]), **record}
    return read_figure(record, where)


def _training_section(argument: str) -> Markup:
    name, separator, file = argument.partition("=")
    if not separator:
        raise InputError(f"--curves {argument}: expected NAME=FILE")
    charts = [line_chart(curve) for curve in read_curves(Path(file))]
    return render("training.html", name=name, charts=charts)
