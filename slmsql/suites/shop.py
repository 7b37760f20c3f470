"""The shop: the six tables of a small online shop, and 500 questions."""

import random
from datetime import date, timedelta

from slmsql.suites.rows import insert
from slmsql.suites.shop_forms import CITIES, FORMS, KINDS, STATUSES
from slmsql.suites.suite import Suite

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
    """SQL that creates the tables and their rows."""
    rng = random.Random(seed)
    customers = _customers(rng, 120)
    categories = [insert("categories", i, name) for i, name in enumerate(KINDS, start=1)]
    products, prices = _products(rng)
    orders = _orders(rng, 600, prices)
    reviews = _reviews(rng, 400, len(prices))
    return "\n".join([SCHEMA, *customers, *categories, *products, *orders, *reviews])


def _customers(rng: random.Random, count: int) -> list[str]:
    names = [f"{first} {last}" for first in FIRST.split() for last in LAST.split()]
    rng.shuffle(names)
    rows = []
    for number, name in enumerate(names[:count], start=1):
        city, country = rng.choice(list(CITIES.items()))
        email = f"{name.lower().replace(' ', '.')}@example.com" if rng.random() < 0.9 else None
        rows.append(insert("customers", number, name, email, city, country, _day(rng, 500)))
    return rows


def _products(rng: random.Random) -> tuple[list[str], dict[int, float]]:
    """The rows, and the price of each product."""
    things = [(category, thing) for category, things in KINDS.items() for thing in things]
    categories = {name: i for i, name in enumerate(KINDS, start=1)}
    rows = []
    prices = {}
    for number, (category, thing) in enumerate(things, start=1):
        name = f"{rng.choice(QUALITIES)} {thing}"
        prices[number] = round(rng.lognormvariate(3.5, 0.8), 2)
        stock = rng.choice([0, 0, rng.randint(1, 30), rng.randint(30, 300)])
        rows.append(insert("products", number, name, categories[category], prices[number], stock))
    return rows, prices


def _orders(rng: random.Random, count: int, prices: dict[int, float]) -> list[str]:
    """Orders and their items."""
    rows = []
    item = 0
    for number in range(1, count + 1):
        customer = min(rng.randint(1, 118), rng.randint(1, 118))  # some order often, two never
        status = rng.choices(STATUSES, weights=(2, 3, 8, 1, 1))[0]
        rows.append(insert("orders", number, customer, _day(rng, 730), status))
        for product in rng.sample(sorted(prices), rng.choice((1, 1, 2, 3, 4))):
            item += 1
            price = round(prices[product] * rng.choice((1, 1, 1, 0.9, 0.8)), 2)
            quantity = rng.choice((1, 1, 1, 2, 3, 5))
            rows.append(insert("order_items", item, number, product, quantity, price))
    return rows


def _reviews(rng: random.Random, count: int, products: int) -> list[str]:
    rows = []
    for number in range(1, count + 1):
        product = min(rng.randint(1, products), rng.randint(1, products))
        rating = rng.choices((1, 2, 3, 4, 5), weights=(1, 1, 2, 5, 4))[0]
        values = (product, rng.randint(1, 120), rating, rng.choice(COMMENTS))
        rows.append(insert("reviews", number, *values, _day(rng, 730)))
    return rows


def _day(rng: random.Random, span: int) -> str:
    return (FIRST_DAY + timedelta(days=rng.randrange(span))).isoformat()


SHOP = Suite("shop", script, FORMS, {"questions": 500})
