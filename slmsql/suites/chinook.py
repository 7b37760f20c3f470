"""A sample database to ask about: the eleven tables of Chinook, a music shop, with made-up rows.

Chinook (github.com/lerocha/chinook-database) is the database of many tutorials. Tables and columns
have its names, so that its questions fit; all artists, customers and figures are made up here.
"""

import random
from datetime import date, timedelta
from pathlib import Path

from slmsql.execution import create_database
from slmsql.suites.rows import insert

SCHEMA = """
CREATE TABLE Artist (ArtistId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE Album (
    AlbumId INTEGER PRIMARY KEY, Title NVARCHAR(160) NOT NULL,
    ArtistId INTEGER NOT NULL REFERENCES Artist (ArtistId)
);
CREATE TABLE Genre (GenreId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE MediaType (MediaTypeId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE Track (
    TrackId INTEGER PRIMARY KEY, Name NVARCHAR(200) NOT NULL,
    AlbumId INTEGER REFERENCES Album (AlbumId),
    MediaTypeId INTEGER NOT NULL REFERENCES MediaType (MediaTypeId),
    GenreId INTEGER REFERENCES Genre (GenreId), Composer NVARCHAR(220),
    Milliseconds INTEGER NOT NULL, Bytes INTEGER, UnitPrice NUMERIC(10,2) NOT NULL
);
CREATE TABLE Playlist (PlaylistId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE PlaylistTrack (
    PlaylistId INTEGER NOT NULL REFERENCES Playlist (PlaylistId),
    TrackId INTEGER NOT NULL REFERENCES Track (TrackId), PRIMARY KEY (PlaylistId, TrackId)
);
CREATE TABLE Employee (
    EmployeeId INTEGER PRIMARY KEY, LastName NVARCHAR(20) NOT NULL,
    FirstName NVARCHAR(20) NOT NULL, Title NVARCHAR(30),
    ReportsTo INTEGER REFERENCES Employee (EmployeeId), BirthDate DATETIME, HireDate DATETIME,
    Address NVARCHAR(70), City NVARCHAR(40), State NVARCHAR(40), Country NVARCHAR(40),
    PostalCode NVARCHAR(10), Phone NVARCHAR(24), Fax NVARCHAR(24), Email NVARCHAR(60)
);
CREATE TABLE Customer (
    CustomerId INTEGER PRIMARY KEY, FirstName NVARCHAR(40) NOT NULL,
    LastName NVARCHAR(20) NOT NULL, Company NVARCHAR(80), Address NVARCHAR(70),
    City NVARCHAR(40), State NVARCHAR(40), Country NVARCHAR(40), PostalCode NVARCHAR(10),
    Phone NVARCHAR(24), Fax NVARCHAR(24), Email NVARCHAR(60) NOT NULL,
    SupportRepId INTEGER REFERENCES Employee (EmployeeId)
);
CREATE TABLE Invoice (
    InvoiceId INTEGER PRIMARY KEY, CustomerId INTEGER NOT NULL REFERENCES Customer (CustomerId),
    InvoiceDate DATETIME NOT NULL, BillingAddress NVARCHAR(70), BillingCity NVARCHAR(40),
    BillingState NVARCHAR(40), BillingCountry NVARCHAR(40), BillingPostalCode NVARCHAR(10),
    Total NUMERIC(10,2) NOT NULL
);
CREATE TABLE InvoiceLine (
    InvoiceLineId INTEGER PRIMARY KEY, InvoiceId INTEGER NOT NULL REFERENCES Invoice (InvoiceId),
    TrackId INTEGER NOT NULL REFERENCES Track (TrackId), UnitPrice NUMERIC(10,2) NOT NULL,
    Quantity INTEGER NOT NULL
);
"""
SEED = 1
FIRST_DAY = date(2023, 1, 1)
BANDS = "Amber Foxes|Blue Lantern|Cold Harbour|The Early Trains|Glass Orchard|Iron Meadow|Juno Park"
BANDS += "|Lina Moreau|The Night Ferry|Paper Comets|Quiet Engines|Rosa Delgado|Salt & Cedar"
BANDS += "|Tomás Ortiz|The Velvet Maps|Winter Parade|Yuki Tanaka|Zero Gravity Club"
GENRES = ("Rock", "Jazz", "Metal", "Blues", "Latin", "Pop", "Classical", "Soundtrack")
MEDIA = ("MPEG audio file", "AAC audio file", "Protected AAC audio file", "MPEG-4 video file")
PLAYLISTS = ("Music", "90's Music", "Movies", "On-The-Go", "Heavy", "Quiet Evenings")
FIRST_WORDS = "Broken Distant Electric Golden Hidden Last Midnight Open Silver Slow Summer Wild"
SECOND_WORDS = "Bridge Clouds Dance Fire Garden Highway Letters Mirror Ocean Rain Signal Window"
FIRST_NAMES = "Ana Ben Clara David Elif Frank Greta Hugo Ines Jonas Kara Luis Marta Nils Olga Pedro"
LAST_NAMES = "Almeida Brooks Costa Dubois Eriksen Fischer Gruber Hughes Ivanov Jansen Kovac Lopez"
CITIES = (
    ("São Paulo", "SP", "Brazil"), ("Berlin", None, "Germany"), ("Paris", None, "France"),
    ("Toronto", "ON", "Canada"), ("Montréal", "QC", "Canada"), ("Boston", "MA", "USA"),
    ("Chicago", "IL", "USA"), ("Seattle", "WA", "USA"), ("Prague", None, "Czech Republic"),
    ("Lisbon", None, "Portugal"), ("London", None, "United Kingdom"), ("Delhi", None, "India"),
)  # fmt: skip
STAFF = (  # first name, last name, title, the number of the superior
    ("Adam", "Archer", "General Manager", None), ("Nadia", "Edmonds", "Sales Manager", 1),
    ("Jane", "Park", "Sales Support Agent", 2), ("Marco", "Petrov", "Sales Support Agent", 2),
    ("Steve", "Jonsson", "Sales Support Agent", 2), ("Mia", "Mitchell", "IT Manager", 1),
    ("Robert", "Kingsley", "IT Staff", 6), ("Laura", "Callan", "IT Staff", 6),
)  # fmt: skip
AGENTS = (3, 4, 5)


def make_chinook(path: Path | str) -> None:
    """Write the sample database; it is the same on every machine, in about 150 kB.

    Raises:
        OSError: the folder cannot be written.
    """
    create_database(Path(path), script())


def script() -> str:
    """SQL that creates the tables and their rows."""
    rng = random.Random(SEED)
    lines = [
        *(insert("Genre", i, name) for i, name in enumerate(GENRES, start=1)),
        *(insert("MediaType", i, name) for i, name in enumerate(MEDIA, start=1)),
        *(insert("Artist", i, name) for i, name in enumerate(BANDS.split("|"), start=1)),
        *(insert("Playlist", i, name) for i, name in enumerate(PLAYLISTS, start=1)),
    ]
    music, prices = _music(rng)
    return "\n".join(
        [SCHEMA, *lines, *music, *_playlists(rng, len(prices)), *_staff(rng), *_sales(rng, prices)]
    )


def _music(rng: random.Random) -> tuple[list[str], list[float]]:
    """Albums and their tracks, and the price of each track."""
    lines: list[str] = []
    prices: list[float] = []
    artists = BANDS.split("|")
    for album in range(1, 46):
        artist = 1 + _draw(rng, len(artists) - 2)  # two artists have no album
        genre = 1 + (artist * 3 + _draw(rng, 2)) % len(GENRES)
        lines.append(insert("Album", album, _title(rng), artist))
        for _ in range(6 + _draw(rng, 7)):
            prices.append(1.99 if GENRES[genre - 1] == "Soundtrack" else 0.99)
            milliseconds = 110_000 + _draw(rng, 290_000)
            composer = artists[artist - 1] if _draw(rng, 3) else None
            values = (_title(rng), album, 1 + _draw(rng, len(MEDIA)), genre, composer)
            number = len(prices)
            lines.append(
                insert("Track", number, *values, milliseconds, milliseconds * 33, prices[-1])
            )
    return lines, prices


def _playlists(rng: random.Random, tracks: int) -> list[str]:
    everything = [insert("PlaylistTrack", 1, track) for track in range(1, tracks + 1)]
    others = {(2 + _draw(rng, len(PLAYLISTS) - 2), 1 + _draw(rng, tracks)) for _ in range(150)}
    return everything + [insert("PlaylistTrack", *pair) for pair in sorted(others)]


def _staff(rng: random.Random) -> list[str]:
    lines = []
    for number, (first, last, title, superior) in enumerate(STAFF, start=1):
        born = date(1960, 1, 1) + timedelta(days=_draw(rng, 12_000))
        hired = date(2019, 1, 1) + timedelta(days=_draw(rng, 1_200))
        contact = (*_address(rng, ("Calgary", "AB", "Canada")), _phone(rng), None)
        email = f"{first}.{last}@example.com".lower()
        lines.append(
            insert("Employee", number, last, first, title, superior, born, hired, *contact, email)
        )
    return lines


def _sales(rng: random.Random, prices: list[float]) -> list[str]:
    """Customers, their invoices and the lines of these."""
    lines: list[str] = []
    addresses = []
    for number in range(1, 60):
        first, last = _pick(rng, FIRST_NAMES), _pick(rng, LAST_NAMES)
        addresses.append(_address(rng, CITIES[_draw(rng, len(CITIES))]))
        company = f"{last} & Co." if _draw(rng, 6) == 0 else None
        email = f"{first}.{last}{number}@example.com".lower()
        contact = (company, *addresses[-1], _phone(rng), None, email)
        agent = AGENTS[_draw(rng, len(AGENTS))]
        lines.append(insert("Customer", number, first, last, *contact, agent))
    sold = 0
    for invoice in range(1, 301):
        customer = 1 + _draw(rng, 57)  # two customers have bought nothing
        tracks = [1 + _draw(rng, len(prices)) for _ in range((1, 2, 2, 4, 6)[_draw(rng, 5)])]
        total = round(sum(prices[track - 1] for track in tracks), 2)
        day = FIRST_DAY + timedelta(days=invoice * 1090 // 300)
        lines.append(insert("Invoice", invoice, customer, day, *addresses[customer - 1], total))
        for track in tracks:
            sold += 1
            lines.append(insert("InvoiceLine", sold, invoice, track, prices[track - 1], 1))
    return lines


def _address(
    rng: random.Random, place: tuple[str, str | None, str]
) -> tuple[str, str, str | None, str, str]:
    """Street, city, state, country and postal code."""
    street = f"{1 + _draw(rng, 180)} {_pick(rng, SECOND_WORDS)} Street"
    return (street, *place, str(10_000 + _draw(rng, 89_999)))


def _phone(rng: random.Random) -> str:
    return f"+1 (555) {_draw(rng, 1000):03}-{_draw(rng, 10_000):04}"


def _title(rng: random.Random) -> str:
    return f"{_pick(rng, FIRST_WORDS)} {_pick(rng, SECOND_WORDS)}"


def _pick(rng: random.Random, words: str) -> str:
    choices = words.split()
    return choices[_draw(rng, len(choices))]


def _draw(rng: random.Random, count: int) -> int:
    """A number from 0 to count - 1. Python promises the same `random()` in every version."""
    return int(rng.random() * count)
