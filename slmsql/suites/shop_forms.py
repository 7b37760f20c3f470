"""The shop's forms of question."""

from slmsql.suites.forms import Form

CITIES = {
    "Berlin": "Germany", "Hamburg": "Germany", "Munich": "Germany", "Paris": "France",
    "Lyon": "France", "Madrid": "Spain", "Sevilla": "Spain", "Rome": "Italy", "Milan": "Italy",
    "Lisbon": "Portugal", "Porto": "Portugal", "Vienna": "Austria",
}  # fmt: skip
COUNTRIES = sorted(set(CITIES.values()))
STATUSES = ["pending", "shipped", "delivered", "cancelled", "returned"]
KINDS = {
    "Kitchen": ["Kettle", "Toaster", "Pan", "Knife", "Grinder", "Scale", "Blender", "Tray"],
    "Garden": ["Spade", "Hose", "Rake", "Shears", "Pot", "Lantern", "Chair", "Hammock"],
    "Office": ["Desk Lamp", "Stapler", "Notebook", "Pen Set", "Monitor Stand", "Keyboard"],
    "Sports": ["Yoga Mat", "Dumbbell", "Jump Rope", "Water Bottle", "Backpack", "Helmet"],
    "Toys": ["Puzzle", "Kite", "Train Set", "Building Blocks", "Plush Bear", "Board Game"],
    "Beauty": ["Hair Dryer", "Face Cream", "Nail Set", "Brush", "Perfume"],
    "Books": ["Cookbook", "Atlas", "Novel", "Sketchbook", "Dictionary"],
}
CATEGORIES = list(KINDS)
PRICES = [15, 20, 25, 30, 40, 50, 60, 80]
YEARS = [2023, 2024]
SOME_MONTHS = {"January": 1, "March": 3, "May": 5, "July": 7, "September": 9, "November": 11}
MONTHS = [
    (f"{name} {year}", f"{year}-{number:02}")
    for year in YEARS
    for name, number in SOME_MONTHS.items()
]
RATINGS = [2, 3, 4]
COUNTS = [2, 3, 4, 5, 6, 8]
TOPS = [3, 4, 5, 7, 10]

# FROM clauses that several forms share
ITEMS = "orders AS o JOIN order_items AS i ON i.order_id = o.order_id"
SALES = "order_items AS i JOIN products AS p ON p.product_id = i.product_id"
PRODUCTS = "products AS p JOIN categories AS c ON c.category_id = p.category_id"

FORMS = [
    Form("count of a value", "simple",
         ["How many customers live in {city}?", "Count the customers from {city}."],
         "SELECT count(*) FROM customers WHERE city = '{city}'", {"city": list(CITIES)}),
    Form("two columns by a value", "simple",
         ["List the name and email of customers in {country}.",
          "What are the names and emails of the customers in {country}?"],
         "SELECT name, email FROM customers WHERE country = '{country}'", {"country": COUNTRIES}),
    Form("comparison", "simple",
         ["Which products cost more than {price} euros? Give their names.",
          "Names of products with a price above {price} euros."],
         "SELECT name FROM products WHERE price > {price}", {"price": PRICES}),
    Form("range", "simple",
         ["Show name and price of products between {low} and {high} euros.",
          "Which products cost from {low} to {high} euros? Name and price."],
         "SELECT name, price FROM products WHERE price BETWEEN {low} AND {high}",
         {"low": [10, 15, 20, 25], "high": [45, 60, 90]}),
    Form("pattern", "simple",
         ["Which products have “{word}” in their name?", "Names of all products with “{word}”."],
         "SELECT name FROM products WHERE name LIKE '%{word}%'",
         {"word": ["Set", "Smart", "Eco", "Light", "Classic", "Travel", "Book", "Compact"]}),
    Form("missing value", "simple",
         ["How many customers in {country} have no email?"],
         "SELECT count(*) FROM customers WHERE country = '{country}' AND email IS NULL",
         {"country": COUNTRIES}),
    Form("distinct values", "simple",
         ["In which different cities of {country} do customers live?"],
         "SELECT DISTINCT city FROM customers WHERE country = '{country}'", {"country": COUNTRIES}),
    Form("list of values", "simple",
         ["How many orders are {a} or {b}?"],
         "SELECT count(*) FROM orders WHERE status IN ('{a}', '{b}')",
         {"a": STATUSES[:3], "b": STATUSES[3:]}),
    Form("top by a column", "simple",
         ["What are the {n} most expensive products? Name and price, dearest first.",
          "Name and price of the {n} dearest products, the dearest first."],
         "SELECT name, price FROM products ORDER BY price DESC LIMIT {n}", {"n": TOPS}),
    Form("aggregate of a column", "simple",
         ["What is the {said} price of the products with fewer than {n} pieces in stock?"],
         "SELECT {said}(price) FROM products WHERE stock < {n}",
         {"said": [("highest", "max"), ("lowest", "min"), ("average", "avg")],
          "n": [10, 20, 30, 50, 100]}),
    Form("three aggregates", "simple",
         ["Give the minimum, maximum and average rating of product number {n}."],
         "SELECT min(rating), max(rating), avg(rating) FROM reviews WHERE product_id = {n}",
         {"n": list(range(1, 31))}),
    Form("month", "simple",
         ["How many orders were placed in {month}?", "Count the orders of {month}."],
         "SELECT count(*) FROM orders WHERE strftime('%Y-%m', ordered) = '{month}'",
         {"month": MONTHS}),
    Form("arithmetic", "simple",
         ["What is the total value of stock of products that cost at least {price} euros?"],
         "SELECT sum(price * stock) FROM products WHERE price >= {price}", {"price": PRICES}),
    Form("group and count", "moderate",
         ["How many customers of {country} live in each city?"],
         "SELECT city, count(*) FROM customers WHERE country = '{country}' GROUP BY city",
         {"country": COUNTRIES}),
    Form("group and having", "moderate",
         ["Which cities have at least {n} customers?", "Cities with {n} or more customers?"],
         "SELECT city FROM customers GROUP BY city HAVING count(*) >= {n}", {"n": range(4, 14)}),
    Form("join and filter", "moderate",
         ["List the products of the category {category}.", "Which products are in {category}?"],
         f"SELECT p.name FROM {PRODUCTS} WHERE c.name = '{{category}}'",
         {"category": CATEGORIES}),
    Form("join and aggregate", "moderate",
         ["What is the average price of products in {category}?"],
         f"SELECT avg(p.price) FROM {PRODUCTS} WHERE c.name = '{{category}}'",
         {"category": CATEGORIES}),
    Form("join, group", "moderate",
         ["For each category, how many products cost more than {price} euros?"],
         f"SELECT c.name, count(*) FROM {PRODUCTS} WHERE p.price > {{price}} "
         "GROUP BY c.category_id, c.name", {"price": PRICES}),
    Form("join, group, having", "moderate",
         ["Which customers have placed more than {n} orders? Give their names.",
          "Names of customers with more than {n} orders."],
         "SELECT c.name FROM customers AS c JOIN orders AS o ON o.customer_id = c.customer_id "
         "GROUP BY c.customer_id, c.name HAVING count(*) > {n}", {"n": range(4, 16)}),
    Form("join, group, top", "moderate",
         ["Which {n} products sold the most pieces? Give name and pieces, best first; "
          "of equal ones the smaller product number first."],
         f"SELECT p.name, sum(i.quantity) AS pieces FROM {SALES} GROUP BY p.product_id, p.name "
         "ORDER BY pieces DESC, p.product_id LIMIT {n}", {"n": TOPS}),
    Form("two joins", "moderate",
         ["How many pieces of {category} products were sold?"],
         f"SELECT sum(i.quantity) FROM {SALES} JOIN categories AS c "
         "ON c.category_id = p.category_id WHERE c.name = '{category}'", {"category": CATEGORIES}),
    Form("three joins", "moderate",
         ["What did customers from {city} spend in total on orders that were {status}?",
          "Total spent on {status} orders by customers from {city}?"],
         f"SELECT sum(i.quantity * i.unit_price) FROM {ITEMS} JOIN customers AS c "
         "ON c.customer_id = o.customer_id WHERE c.city = '{city}' AND o.status = '{status}'",
         {"city": list(CITIES), "status": STATUSES}),
    Form("four joins", "complex",
         ["Which different customers from {country} bought something of {category}?",
          "Names of the customers in {country} who have bought {category} products."],
         f"SELECT DISTINCT u.name FROM {ITEMS} JOIN customers AS u "
         "ON u.customer_id = o.customer_id JOIN products AS p ON p.product_id = i.product_id "
         "JOIN categories AS c ON c.category_id = p.category_id "
         "WHERE u.country = '{country}' AND c.name = '{category}'",
         {"country": COUNTRIES, "category": CATEGORIES}),
    Form("outer join, none", "moderate",
         ["Which products of {category} have never been reviewed?"],
         f"SELECT p.name FROM {PRODUCTS} LEFT JOIN reviews AS r ON r.product_id = p.product_id "
         "WHERE c.name = '{category}' AND r.review_id IS NULL", {"category": CATEGORIES}),
    Form("outer join, count", "moderate",
         ["How many reviews does each product of {category} have? Include those with none."],
         f"SELECT p.name, count(r.review_id) FROM {PRODUCTS} LEFT JOIN reviews AS r "
         "ON r.product_id = p.product_id WHERE c.name = '{category}' GROUP BY p.product_id, p.name",
         {"category": CATEGORIES}),
    Form("not in", "moderate",
         ["How many customers from {country} have never ordered in {year}?"],
         "SELECT count(*) FROM customers WHERE country = '{country}' AND customer_id NOT IN "
         "(SELECT customer_id FROM orders WHERE strftime('%Y', ordered) = '{year}')",
         {"country": COUNTRIES, "year": YEARS}),
    Form("exists", "complex",
         ["Which customers from {city} have written a review with {rating} stars or less?"],
         "SELECT c.name FROM customers AS c WHERE c.city = '{city}' AND EXISTS (SELECT 1 FROM "
         "reviews AS r WHERE r.customer_id = c.customer_id AND r.rating <= {rating})",
         {"city": list(CITIES), "rating": RATINGS}),
    Form("above the average", "complex",
         ["Which products of {category} cost more than the average of all products?"],
         f"SELECT p.name FROM {PRODUCTS} WHERE c.name = '{{category}}' AND p.price > "
         "(SELECT avg(price) FROM products)", {"category": CATEGORIES}),
    Form("the extreme of a group", "complex",
         ["What is the most expensive product of {category}, and what does it cost?"],
         f"SELECT p.name, p.price FROM {PRODUCTS} WHERE c.name = '{{category}}' AND p.price = "
         "(SELECT max(q.price) FROM products AS q WHERE q.category_id = p.category_id)",
         {"category": CATEGORIES}),
    Form("both of two", "complex",
         ["Names of customers who have both {a} and {b} orders?"],
         "SELECT c.name FROM customers AS c JOIN orders AS o ON o.customer_id = c.customer_id "
         "WHERE o.status = '{a}' INTERSECT SELECT c.name FROM customers AS c JOIN orders AS o "
         "ON o.customer_id = c.customer_id WHERE o.status = '{b}'",
         {"a": STATUSES[:3], "b": STATUSES[3:]}),
    Form("one without the other", "complex",
         ["In which cities did somebody register in {a} but nobody in {b}?"],
         "SELECT city FROM customers WHERE strftime('%Y-%m', joined) = '{a}' EXCEPT "
         "SELECT city FROM customers WHERE strftime('%Y-%m', joined) = '{b}'",
         {"a": MONTHS[:6], "b": MONTHS[3:9]}),
    Form("case", "complex",
         ["How many products of {category} are cheap (below {price} euros) and how many are not? "
          "Give both numbers."],
         f"SELECT sum(CASE WHEN p.price < {{price}} THEN 1 ELSE 0 END), "
         f"sum(CASE WHEN p.price < {{price}} THEN 0 ELSE 1 END) FROM {PRODUCTS} "
         "WHERE c.name = '{category}'", {"category": CATEGORIES, "price": PRICES[1:5]}),
    Form("share", "complex",
         ["What percentage of the orders in {month} was {status}?"],
         "SELECT 100.0 * sum(status = '{status}') / count(*) FROM orders "
         "WHERE strftime('%Y-%m', ordered) = '{month}'", {"month": MONTHS, "status": STATUSES}),
    Form("sum of sums", "complex",
         ["What is the average value of an order in {year} with status {status}?"],
         f"SELECT avg(value) FROM (SELECT sum(i.quantity * i.unit_price) AS value FROM {ITEMS} "
         "WHERE strftime('%Y', o.ordered) = '{year}' AND o.status = '{status}' "
         "GROUP BY o.order_id) AS t", {"year": YEARS, "status": STATUSES}),
    Form("with", "complex",
         ["Which customers have spent more than {amount} euros in total? Name and total."],
         "WITH spent AS (SELECT o.customer_id, sum(i.quantity * i.unit_price) AS total "
         f"FROM {ITEMS} GROUP BY o.customer_id) SELECT c.name, s.total FROM spent AS s "
         "JOIN customers AS c ON c.customer_id = s.customer_id WHERE s.total > {amount}",
         {"amount": [800, 1000, 1200, 1500, 1800, 2000, 2500]}),
    Form("rank in a group", "complex",
         ["What are the {n} most expensive products of each category? Give category, product "
          "and price."],
         "SELECT category, product, price FROM (SELECT c.name AS category, p.name AS product, "
         f"p.price AS price, row_number() OVER (PARTITION BY c.category_id ORDER BY p.price DESC) "
         f"AS place FROM {PRODUCTS}) AS t WHERE place <= {{n}}", {"n": [1, 2, 3, 4]}),
    Form("running total", "complex",
         ["For each order day in {month}, how many orders had been placed in that month by then?"],
         "SELECT ordered, sum(count(*)) OVER (ORDER BY ordered) FROM orders "
         "WHERE strftime('%Y-%m', ordered) = '{month}' GROUP BY ordered", {"month": MONTHS}),
    Form("self join", "complex",
         ["Which pairs of products of {category} differ in price by less than {n} euros? Give both "
          "names, the one with the smaller product number first."],
         "SELECT a.name, b.name FROM products AS a JOIN products AS b "
         "ON a.category_id = b.category_id AND a.product_id < b.product_id JOIN categories AS c "
         "ON c.category_id = a.category_id WHERE c.name = '{category}' "
         "AND abs(a.price - b.price) < {n}", {"category": CATEGORIES, "n": [3, 5, 8, 12]}),
    Form("the one with most", "moderate",
         ["Which category sold the most pieces in {month}?"],
         f"SELECT c.name FROM {ITEMS} JOIN products AS p ON p.product_id = i.product_id "
         "JOIN categories AS c ON c.category_id = p.category_id "
         "WHERE strftime('%Y-%m', o.ordered) = '{month}' GROUP BY c.category_id, c.name "
         "ORDER BY sum(i.quantity) DESC LIMIT 1", {"month": MONTHS}),
]  # fmt: skip
