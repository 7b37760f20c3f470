"""The shop: six tables as a small seller has them, and 500 questions over their SQL shapes."""

import random
from datetime import date, timedelta

from slmsql.suites.making import Suite
from slmsql.suites.rows import insert
from slmsql.suites.shop_forms import CITIES, FORMS, KINDS, STATUSES

SCHEMA = """
CREATE TABLE customers (
    customer_id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, city TEXT, country TEXT,
    joined DATE  -- day of registration
);
CREATE TABLE categories (category_id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE products (
    product_id INTEGER PRIMARY KEY, name TEXT NOT NULL,
    category_id INTEGER REFERENCES categories (category_id),
    price REAL,  -- in euros
    stock INTEGER  -- pieces at hand
);
CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (customer_id),
    ordered DATE, status TEXT  -- pending, shipped, delivered, cancelled or returned
);
CREATE TABLE order_items (
    item_id INTEGER PRIMARY KEY, order_id INTEGER REFERENCES orders (order_id),
    product_id INTEGER REFERENCES products (product_id), quantity INTEGER,
    unit_price REAL  -- in euros, on the day of the order
);
CREATE TABLE reviews (
    review_id INTEGER PRIMARY KEY, product_id INTEGER REFERENCES products (product_id),
    customer_id INTEGER REFERENCES customers (customer_id), rating INTEGER, comment TEXT,
    written DATE
);
"""

FIRST = "Ada Ben Cleo Dan Eva Finn Gwen Hugo Iris Jon Kim Leo Mia Ned Ola Pia Quin Rosa Sam Tess"
LAST = "Adler Brandt Costa Duarte Engel Ferrari Garcia Hansen Ivanov Jensen Klein Lopez Moreau"
QUALITIES = ["Classic", "Compact", "Eco", "Light", "Premium", "Smart", "Sturdy", "Travel"]
COMMENTS = ["Great value", "As described", "Arrived late", "Would buy again", "Too small", None]
FIRST_DAY = date(2023, 1, 1)


def script(seed: int) -> str:
    """The tables with their rows."""
    chance = random.Random(seed)
    lines = [SCHEMA]
    lines += _customers(chance, 120)
    kinds = [(name, thing) for name, things in KINDS.items() for thing in things]
    lines += [insert("categories", i, name) for i, name in enumerate(KINDS, start=1)]
    prices = _products(chance, kinds, lines)
    _orders(chance, 600, prices, lines)
    _reviews(chance, 400, len(prices), lines)
    return "\n".join(lines)


def _customers(chance: random.Random, count: int) -> list[str]:
    names = [f"{first} {last}" for first in FIRST.split() for last in LAST.split()]
    chance.shuffle(names)
    rows = []
    for number, name in enumerate(names[:count], start=1):
        city, country = chance.choice(list(CITIES.items()))
        email = f"{name.lower().replace(' ', '.')}@example.com" if chance.random() < 0.9 else None
        rows.append(insert("customers", number, name, email, city, country, _day(chance, 500)))
    return rows


def _products(
    chance: random.Random, kinds: list[tuple[str, str]], lines: list[str]
) -> dict[int, float]:
    categories = {name: i for i, name in enumerate(KINDS, start=1)}
    prices = {}
    for number, (category, thing) in enumerate(kinds, start=1):
        name = f"{chance.choice(QUALITIES)} {thing}"
        prices[number] = round(chance.lognormvariate(3.5, 0.8), 2)
        stock = chance.choice([0, 0, chance.randint(1, 30), chance.randint(30, 300)])
        lines.append(insert("products", number, name, categories[category], prices[number], stock))
    return prices


def _orders(chance: random.Random, count: int, prices: dict[int, float], lines: list[str]) -> None:
    item = 0
    for number in range(1, count + 1):
        customer = min(chance.randint(1, 118), chance.randint(1, 118))  # some order often
        status = chance.choices(STATUSES, weights=(2, 3, 8, 1, 1))[0]
        lines.append(insert("orders", number, customer, _day(chance, 730), status))
        for product in chance.sample(sorted(prices), chance.choice((1, 1, 2, 3, 4))):
            item += 1
            price = round(prices[product] * chance.choice((1, 1, 1, 0.9, 0.8)), 2)
            quantity = chance.choice((1, 1, 1, 2, 3, 5))
            lines.append(insert("order_items", item, number, product, quantity, price))


def _reviews(chance: random.Random, count: int, products: int, lines: list[str]) -> None:
    for number in range(1, count + 1):
        product = min(chance.randint(1, products), chance.randint(1, products))
        rating = chance.choices((1, 2, 3, 4, 5), weights=(1, 1, 2, 5, 4))[0]
        values = (product, chance.randint(1, 120), rating, chance.choice(COMMENTS))
        lines.append(insert("reviews", number, *values, _day(chance, 730)))


def _day(chance: random.Random, span: int) -> str:
    return (FIRST_DAY + timedelta(days=chance.randrange(span))).isoformat()


SHOP = Suite("shop", script, FORMS, {"questions": 500})
