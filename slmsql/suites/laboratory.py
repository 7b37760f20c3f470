"""The laboratory: the eight tables of a laboratory for water and soil; gold SQL in PostgreSQL."""

import random
from datetime import date, timedelta

from slmsql.sql.dialect import Dialect
from slmsql.suites.laboratory_forms import (
    CITIES,
    DETERMINANDS,
    FORMS,
    METHODS,
    SECTORS,
    SITES,
    TYPES,
)
from slmsql.suites.rows import insert
from slmsql.suites.suite import Suite

SCHEMA = """
CREATE TABLE clients (
    client_id INTEGER PRIMARY KEY, name TEXT NOT NULL,
    sector TEXT,  -- utility, industry, farm, council or private
    city TEXT
);
CREATE TABLE analysts (
    analyst_id INTEGER PRIMARY KEY, name TEXT NOT NULL, section TEXT,
    grade INTEGER,  -- 1 trainee, 2 analyst, 3 senior
    hired DATE
);
CREATE TABLE methods (
    method_id INTEGER PRIMARY KEY, code TEXT NOT NULL, technique TEXT,
    accredited INTEGER,  -- 1 yes, 0 no
    turnaround_days INTEGER
);
CREATE TABLE determinands (
    determinand_id INTEGER PRIMARY KEY, name TEXT NOT NULL, unit TEXT,
    method_id INTEGER REFERENCES methods (method_id),
    limit_value REAL  -- what the law allows at most, in the unit; NULL where there is no limit
);
CREATE TABLE samples (
    sample_id INTEGER PRIMARY KEY, client_id INTEGER REFERENCES clients (client_id),
    sample_type TEXT, site TEXT, collected DATE, received DATE,
    status TEXT  -- received, in progress, reported or rejected
);
CREATE TABLE worksheets (
    worksheet_id INTEGER PRIMARY KEY, method_id INTEGER REFERENCES methods (method_id),
    analyst_id INTEGER REFERENCES analysts (analyst_id), created DATE,
    status TEXT  -- open, complete or failed
);
CREATE TABLE worksheet_samples (
    worksheet_id INTEGER REFERENCES worksheets (worksheet_id),
    sample_id INTEGER REFERENCES samples (sample_id),
    position INTEGER, PRIMARY KEY (worksheet_id, sample_id)
);
CREATE TABLE results (
    result_id INTEGER PRIMARY KEY, sample_id INTEGER REFERENCES samples (sample_id),
    determinand_id INTEGER REFERENCES determinands (determinand_id),
    analyst_id INTEGER REFERENCES analysts (analyst_id),
    value REAL,  -- in the determinand's unit; NULL where it could not be measured
    reported DATE
);
"""
NAMES = "Ames Boyd Cole Dale Ellis Frost Grant Hale Innes Joyce Kerr Lowe Marsh Nash Orme Pike"
FIRMS = ["Water", "Foods", "Farms", "Metals", "Estates"]
WEIGHTED_STATUSES = ["reported"] * 3 + ["in progress", "received", "rejected"]
FIRST_DAY = date(2023, 1, 2)


def script(seed: int) -> str:
    """SQL that creates the tables and their rows."""
    rng = random.Random(seed)
    lines = [SCHEMA, *_people(rng), *_catalogue()]
    for number in range(1, 401):
        lines += _sample(rng, number)
    lines += _worksheets(rng)
    return "\n".join(lines)


def _people(rng: random.Random) -> list[str]:
    names = NAMES.split()
    firms = [f"{name} {firm}" for firm in FIRMS for name in names[:8]]
    clients = [
        insert("clients", i, name, rng.choice(SECTORS), rng.choice(CITIES))
        for i, name in enumerate(firms, start=1)
    ]
    sections = ["chemistry", "metals", "microbiology"]
    return clients + [
        insert("analysts", i, f"{rng.choice('ABDEJMRST')}. {name}", sections[i % 3],
               1 + i % 3, _day(rng, -2500, 2400))
        for i, name in enumerate(names, start=1)
    ]  # fmt: skip


def _catalogue() -> list[str]:
    methods = [insert("methods", i, *fields) for i, fields in enumerate(METHODS, start=1)]
    return methods + [
        insert("determinands", i, name, unit, method, limit)
        for i, (name, unit, method, limit, _) in enumerate(DETERMINANDS, start=1)
    ]


def _sample(rng: random.Random, number: int) -> list[str]:
    collected = FIRST_DAY + timedelta(days=rng.randrange(720))
    received = collected + timedelta(days=rng.choice((0, 1, 1, 2, 3, 6)))
    status = rng.choice(WEIGHTED_STATUSES)
    client = min(rng.randint(1, 38), rng.randint(1, 38))  # some clients send often, two never
    kind, site = rng.choice(TYPES), rng.choice(SITES)
    lines = [insert("samples", number, client, kind, site, collected, received, status)]
    if status in ("reported", "in progress"):
        indexes = rng.sample(range(len(DETERMINANDS)), rng.randint(2, 6))
        lines += [_result(rng, number, index, received) for index in sorted(indexes)]
    return lines


def _result(rng: random.Random, sample: int, index: int, received: date) -> str:
    usual = DETERMINANDS[index][4]
    value = round(rng.lognormvariate(0, 0.6) * usual, 3) if rng.random() < 0.96 else None
    reported = received + timedelta(days=rng.randint(1, 15))
    number = sample * 20 + index
    return insert("results", number, sample, index + 1, rng.randint(1, 15), value, reported)


def _worksheets(rng: random.Random) -> list[str]:
    lines = []
    for number in range(1, 91):
        method, analyst = rng.randint(1, len(METHODS)), rng.randint(1, 15)
        status = rng.choice(("complete", "complete", "complete", "open", "failed"))
        lines.append(insert("worksheets", number, method, analyst, _day(rng, 0, 720), status))
        samples = rng.sample(range(1, 401), rng.randint(3, 10))
        lines += [
            insert("worksheet_samples", number, sample, position)
            for position, sample in enumerate(samples, start=1)
        ]
    return lines


def _day(rng: random.Random, first: int, span: int) -> date:
    return FIRST_DAY + timedelta(days=first + rng.randrange(span))


LABORATORY = Suite(
    "laboratory", script, FORMS, {"evaluation": 200, "train": 579}, dialect=Dialect.POSTGRES
)
