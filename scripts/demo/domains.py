"""The quickstart's two databases, each with a parent table and a child table of made-up rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from slmsql.execution import create_database


@dataclass(frozen=True, slots=True)
class Number:
    """A column of whole numbers of two digits, so that each number is one token."""

    name: str
    low: int = 10
    high: int = 99


@dataclass(frozen=True, slots=True)
class Label:
    """A text column with few values, to filter and to group by."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the columns `id`, a title, the parent's key (in a child), a label and numbers.

    Args:
        name: also names a row in questions: "author".
        plural: names several rows: "authors".
        title: the column with the rows' names.
        label: the column to group by.
        numbers: the columns to compare and to aggregate.
        rows: number of rows.
    """

    name: str
    plural: str
    title: str
    label: Label
    numbers: tuple[Number, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Domain:
    """A database of two tables. All column names but `id` differ, so joins need no aliases."""

    name: str
    parent: Table
    child: Table

    @property
    def key(self) -> str:
        """The child's column that refers to the parent's `id`."""
        return f"{self.parent.name}_id"

    def tables(self) -> tuple[Table, Table]:
        return self.parent, self.child


COUNTRIES = "Peru Japan Kenya Norway Canada Italy Chile India Ghana Malta"
GENRES = "crime poetry travel history drama science cooking music art fantasy"
FIELDS = "surgery cardiology oncology radiology urology trauma allergy sleep dental sports"
CITIES = "Bergen Lima Turin Kyoto Quebec Nairobi Osaka Porto Accra Delhi"

DOMAINS = (
    Domain(
        "library",
        Table(
            "author",
            "authors",
            "name",
            Label("country", tuple(COUNTRIES.split())),
            (Number("age"),),
            36,
        ),
        Table(
            "book",
            "books",
            "title",
            Label("genre", tuple(GENRES.split())),
            (Number("chapters"), Number("price")),
            80,
        ),
    ),
    Domain(
        "clinic",
        Table(
            "doctor",
            "doctors",
            "surname",
            Label("field", tuple(FIELDS.split())),
            (Number("shifts"),),
            36,
        ),
        Table(
            "patient",
            "patients",
            "alias",
            Label("city", tuple(CITIES.split())),
            (Number("age"), Number("weight")),
            80,
        ),
    ),
)


def create_domain(domain: Domain, path: Path, random: Random) -> None:
    """Create the database of a domain with random rows."""
    create_database(path, "\n".join([*_tables(domain), *_rows(domain, random)]))


def _tables(domain: Domain) -> Iterator[str]:
    """Keys are not declared: that keeps the schema, and so prompts and training, short."""
    for table in domain.tables():
        columns = ["id INTEGER", f"{table.title} TEXT"]
        if table is domain.child:
            columns.append(f"{domain.key} INTEGER")
        columns.append(f"{table.label.name} TEXT")
        columns += [f"{number.name} INTEGER" for number in table.numbers]
        yield f"CREATE TABLE {table.name} ({', '.join(columns)});"


def _rows(domain: Domain, random: Random) -> Iterator[str]:
    """No number occurs twice in a column: "the highest" is a single row, and LIMIT 1 is right."""
    for table in domain.tables():
        titles = random.sample(_names(), table.rows)
        numbers = [random.sample(range(n.low, n.high + 1), table.rows) for n in table.numbers]
        rows = zip(titles, *numbers, strict=True)
        for identity, (title, *row_numbers) in enumerate(rows, start=1):
            values = [str(identity), f"'{title}'"]
            if table is domain.child:
                values.append(str(random.randint(1, domain.parent.rows)))
            values.append(f"'{random.choice(table.label.values)}'")
            values += map(str, row_numbers)
            yield f"INSERT INTO {table.name} VALUES ({', '.join(values)});"


def _names() -> list[str]:
    """Invented names, enough that none occurs twice in a table."""
    starts = ("Al", "Be", "Cor", "Da", "El", "Fa", "Gi", "Ho", "Is", "Jo", "Ka", "Lu")
    ends = ("ban", "dor", "fin", "gan", "ka", "lin", "mar", "nor", "ro", "sa", "ta", "vel")
    return [start + end for start in starts for end in ends]
