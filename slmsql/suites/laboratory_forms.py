"""The laboratory's forms of question, with gold SQL in PostgreSQL."""

from slmsql.suites.forms import Form

TYPES = ["river water", "tap water", "waste water", "ground water", "soil"]
SITES = ["North Intake", "South Intake", "Mill Lane", "Quarry", "Harbour", "Works Outlet"]
METHODS = [  # code, technique, accredited, days until the result
    ("M101", "ICP-MS", 1, 10), ("M102", "ion chromatography", 1, 7), ("M103", "titration", 1, 5),
    ("M104", "electrode", 0, 2), ("M105", "plate count", 1, 4), ("M106", "GC-MS", 0, 14),
]  # fmt: skip
DETERMINANDS = [  # name, unit, method, limit, usual value
    ("Lead", "ug/l", 1, 10, 4), ("Arsenic", "ug/l", 1, 10, 3), ("Copper", "ug/l", 1, 2000, 300),
    ("Iron", "ug/l", 1, 200, 110), ("Nitrate", "mg/l", 2, 50, 22), ("Chloride", "mg/l", 2, 250, 90),
    ("Sulfate", "mg/l", 2, 250, 70), ("Hardness", "mg/l", 3, None, 180),
    ("Alkalinity", "mg/l", 3, None, 140), ("pH", "pH units", 4, 9.5, 7.4),
    ("Conductivity", "uS/cm", 4, 2500, 600), ("E. coli", "CFU/100ml", 5, 1, 0.6),
    ("Coliforms", "CFU/100ml", 5, 5, 3), ("Benzene", "ug/l", 6, 1, 0.4),
]  # fmt: skip
NAMES = [name for name, *_ in DETERMINANDS]
NAMES_WITH_LIMIT = [name for name, _, _, limit, _ in DETERMINANDS if limit is not None]
CODES = [code for code, *_ in METHODS]
TECHNIQUES = [technique for _, technique, *_ in METHODS]
SECTORS = ["utility", "industry", "farm", "council", "private"]
CITIES = ["Ashford", "Bolton", "Crewe", "Durham", "Exeter", "Fleet"]
STATUSES = ["received", "in progress", "reported", "rejected"]
YEARS = [2023, 2024]
QUARTERS = [
    (f"{name} {year}", f"'{year}-{first:02}-01' AND DATE '{year}-{first + 2:02}-{last}'")
    for year in YEARS
    for name, first, last in (("the first quarter of", 1, 31), ("the second quarter of", 4, 30),
                              ("the third quarter of", 7, 30), ("the last quarter of", 10, 31))
]  # fmt: skip

# FROM clauses that several forms share
RESULTS = "results AS r JOIN determinands AS d ON d.determinand_id = r.determinand_id"
SAMPLES = "samples AS s JOIN clients AS c ON c.client_id = s.client_id"
FULL = f"{RESULTS} JOIN samples AS s ON s.sample_id = r.sample_id"

FORMS = [
    Form("count two conditions", "simple",
         ["How many {type} samples are {status}?", "Count the {type} samples that are {status}."],
         "SELECT COUNT(*) FROM samples WHERE sample_type = '{type}' AND status = '{status}'",
         {"type": TYPES, "status": STATUSES}),
    Form("names by a value", "simple",
         ["List the {sector} clients in {city}.", "Which {sector} clients are in {city}?"],
         "SELECT name FROM clients WHERE sector = '{sector}' AND city = '{city}'",
         {"sector": SECTORS, "city": CITIES}),
    Form("range of dates", "simple",
         ["How many samples came from {site} in {quarter}?",
          "Number of samples collected at {site} in {quarter}?"],
         "SELECT COUNT(*) FROM samples WHERE site = '{site}' "
         "AND collected BETWEEN DATE {quarter}", {"site": SITES, "quarter": QUARTERS}),
    Form("pattern without case", "simple",
         ["Which analysts have “{part}” in their name, in capitals or not?"],
         "SELECT name FROM analysts WHERE name ILIKE '%{part}%'",
         {"part": ["am", "le", "oy", "ro", "st", "ma", "ke", "in", "ra", "or"]}),
    Form("columns by a number", "simple",
         ["Give code and technique of methods that take at most {n} days.",
          "Which methods have a turnaround of {n} days or less? Code and technique."],
         "SELECT code, technique FROM methods WHERE turnaround_days <= {n}",
         {"n": [2, 4, 5, 7, 10, 14]}),
    Form("distinct", "simple",
         ["At which different sites were {type} samples with status {status} taken?"],
         "SELECT DISTINCT site FROM samples WHERE sample_type = '{type}' AND status = '{status}'",
         {"type": TYPES, "status": STATUSES}),
    Form("the latest", "simple",
         ["When was the last {type} sample from {site} collected?",
          "Date of the latest {type} sample taken at {site}?"],
         "SELECT MAX(collected) FROM samples WHERE sample_type = '{type}' AND site = '{site}'",
         {"type": TYPES, "site": SITES}),
    Form("no limit", "simple",
         ["Which determinands measured in {unit} have a limit of at least {n}?"],
         "SELECT name FROM determinands WHERE unit = '{unit}' AND limit_value >= {n}",
         {"unit": ["ug/l", "mg/l", "CFU/100ml"], "n": [1, 5, 10, 50, 200]}),
    Form("days between", "simple",
         ["How many samples from {site} waited more than {n} days between collection and receipt?"],
         "SELECT COUNT(*) FROM samples WHERE site = '{site}' "
         "AND received::date - collected::date > {n}", {"site": SITES, "n": [0, 1, 2, 3]}),
    Form("statistics", "moderate",
         ["What are the lowest, average and highest {name} values?",
          "Minimum, mean and maximum of {name}?"],
         f"SELECT MIN(r.value), AVG(r.value), MAX(r.value) FROM {RESULTS} "
         "WHERE d.name = '{name}'",
         {"name": NAMES}),
    Form("over the limit", "moderate",
         ["How many {name} results of {type} are over the limit?",
          "Count {type} results for {name} that exceed the limit."],
         f"SELECT COUNT(*) FROM {FULL} WHERE d.name = '{{name}}' AND s.sample_type = '{{type}}' "
         "AND r.value > d.limit_value", {"name": NAMES_WITH_LIMIT, "type": TYPES}),
    Form("average at a site", "moderate",
         ["What is the average {name} at {site}, rounded to two decimals?"],
         f"SELECT ROUND(AVG(r.value)::numeric, 2) FROM {FULL} WHERE d.name = '{{name}}' "
         "AND s.site = '{site}'", {"name": NAMES, "site": SITES}),
    Form("group by type", "moderate",
         ["How many results for {name} are there by sample type?"],
         f"SELECT s.sample_type, COUNT(*) FROM {FULL} WHERE d.name = '{{name}}' "
         "GROUP BY s.sample_type", {"name": NAMES}),
    Form("group and having", "moderate",
         ["Which {sector} clients sent more than {n} samples?"],
         f"SELECT c.name FROM {SAMPLES} WHERE c.sector = '{{sector}}' GROUP BY c.client_id, c.name "
         "HAVING COUNT(*) > {n}", {"sector": SECTORS, "n": [5, 8, 10, 12, 15]}),
    Form("by year", "moderate",
         ["How many {type} samples from {city} were collected in {year}?"],
         f"SELECT COUNT(*) FROM {SAMPLES} WHERE s.sample_type = '{{type}}' "
         "AND c.city = '{city}' AND EXTRACT(YEAR FROM s.collected) = {year}",
         {"type": TYPES, "city": CITIES, "year": YEARS}),
    Form("by month", "moderate",
         ["How many samples did {sector} clients send in each month of {year}?"],
         "SELECT TO_CHAR(s.received, 'YYYY-MM') AS month, COUNT(*) "
         f"FROM {SAMPLES} WHERE c.sector = '{{sector}}' "
         "AND EXTRACT(YEAR FROM s.received) = {year} GROUP BY TO_CHAR(s.received, 'YYYY-MM')",
         {"sector": SECTORS, "year": YEARS}),
    Form("two counts", "moderate",
         ["For {type}, how many samples are reported and how many are rejected? Two numbers."],
         "SELECT COUNT(*) FILTER (WHERE status = 'reported'), "
         "COUNT(*) FILTER (WHERE status = 'rejected') FROM samples WHERE sample_type = '{type}'",
         {"type": TYPES}),
    Form("missing values", "moderate",
         ["Which analysts reported {name} results without a value?"],
         f"SELECT DISTINCT a.name FROM {RESULTS} "
         "JOIN analysts AS a ON a.analyst_id = r.analyst_id WHERE d.name = '{name}' "
         "AND r.value IS NULL", {"name": NAMES}),
    Form("outer join, none", "moderate",
         ["Which clients in {city} never sent {type}?"],
         "SELECT c.name FROM clients AS c LEFT JOIN samples AS s ON s.client_id = c.client_id "
         "AND s.sample_type = '{type}' WHERE c.city = '{city}' AND s.sample_id IS NULL",
         {"city": CITIES, "type": TYPES}),
    Form("worksheets of a method", "moderate",
         ["How many samples are on {status} worksheets of method {code}?"],
         "SELECT COUNT(*) FROM worksheet_samples AS x JOIN worksheets AS w "
         "ON w.worksheet_id = x.worksheet_id JOIN methods AS m ON m.method_id = w.method_id "
         "WHERE w.status = '{status}' AND m.code = '{code}'",
         {"status": ["open", "complete", "failed"], "code": CODES}),
    Form("late results", "complex",
         ["How many {technique} results of {year} were reported later than the method's turnaround "
          "after receipt?"],
         f"SELECT COUNT(*) FROM {FULL} JOIN methods AS m ON m.method_id = d.method_id "
         "WHERE m.technique = '{technique}' AND EXTRACT(YEAR FROM r.reported) = {year} "
         "AND r.reported::date - s.received::date > m.turnaround_days",
         {"technique": TECHNIQUES, "year": YEARS}),
    Form("share over the limit", "complex",
         ["What percentage of {name} results at {site} is over the limit? Round to one decimal."],
         "SELECT ROUND(100.0 * COUNT(*) FILTER (WHERE r.value > d.limit_value) / COUNT(*), 1) "
         f"FROM {FULL} WHERE d.name = '{{name}}' AND s.site = '{{site}}'",
         {"name": NAMES_WITH_LIMIT, "site": SITES}),
    Form("above the average", "complex",
         ["Which samples of {type} have a {name} value above the average of all {name} results? "
          "Give the sample numbers."],
         f"SELECT s.sample_id FROM {FULL} WHERE d.name = '{{name}}' AND s.sample_type = '{{type}}' "
         "AND r.value > (SELECT AVG(q.value) FROM results AS q WHERE q.determinand_id = "
         "d.determinand_id)", {"name": NAMES, "type": TYPES}),
    Form("the highest of each", "complex",
         ["For each site, which sample has the highest {name}? Site, sample number and value."],
         "SELECT site, sample_id, value FROM (SELECT s.site, s.sample_id, r.value, RANK() OVER "
         f"(PARTITION BY s.site ORDER BY r.value DESC NULLS LAST) AS place FROM {FULL} "
         "WHERE d.name = '{name}') AS t WHERE place = 1", {"name": NAMES}),
    Form("change", "complex",
         ["For the {name} results at {site}, give date of collection, value and the change from "
          "the result before."],
         "SELECT s.collected, r.value, r.value - LAG(r.value) OVER (ORDER BY s.collected, "
         f"s.sample_id) FROM {FULL} WHERE d.name = '{{name}}' AND s.site = '{{site}}'",
         {"name": NAMES[:8], "site": SITES}),
    Form("with two steps", "complex",
         ["Which analysts have a mean {name} above the mean of all analysts' means?"],
         f"WITH means AS (SELECT r.analyst_id, AVG(r.value) AS mean FROM {RESULTS} "
         "WHERE d.name = '{name}' GROUP BY r.analyst_id) SELECT a.name FROM means AS m "
         "JOIN analysts AS a ON a.analyst_id = m.analyst_id "
         "WHERE m.mean > (SELECT AVG(mean) FROM means)", {"name": NAMES}),
    Form("both", "complex",
         ["Which clients had {a} over the limit as well as {b}?"],
         f"SELECT c.name FROM {FULL} JOIN clients AS c ON c.client_id = s.client_id WHERE d.name = "
         "'{a}' AND r.value > d.limit_value INTERSECT "
         f"SELECT c.name FROM {FULL} JOIN clients AS c ON c.client_id = s.client_id WHERE d.name = "
         "'{b}' AND r.value > d.limit_value",
         {"a": NAMES_WITH_LIMIT[:6], "b": NAMES_WITH_LIMIT[6:]}),
    Form("one without the other", "complex",
         ["At which sites was {name} over the limit in {a} but not in {b}?"],
         f"SELECT s.site FROM {FULL} WHERE d.name = '{{name}}' AND r.value > d.limit_value AND "
         f"EXTRACT(YEAR FROM s.collected) = {{a}} EXCEPT SELECT s.site FROM {FULL} WHERE "
         "d.name = '{name}' AND r.value > d.limit_value AND EXTRACT(YEAR FROM s.collected) = {b}",
         {"name": NAMES_WITH_LIMIT, "a": YEARS, "b": YEARS[::-1]}),
    Form("case", "complex",
         ["Sort the {name} results at {site} into “over”, “near” (at least half of the limit) and "
          "“low”, and count each."],
         "SELECT CASE WHEN r.value > d.limit_value THEN 'over' WHEN r.value >= d.limit_value / 2.0 "
         f"THEN 'near' ELSE 'low' END AS level, COUNT(*) FROM {FULL} WHERE d.name = '{{name}}' "
         "AND s.site = '{site}' AND r.value IS NOT NULL GROUP BY CASE WHEN r.value > d.limit_value "
         "THEN 'over' WHEN r.value >= d.limit_value / 2.0 THEN 'near' ELSE 'low' END",
         {"name": NAMES_WITH_LIMIT[:8], "site": SITES}),
    Form("within days", "complex",
         ["How many {type} samples got their first result within {n} days of receipt?"],
         "SELECT COUNT(*) FROM samples AS s WHERE s.sample_type = '{type}' AND EXISTS "
         "(SELECT 1 FROM results AS r WHERE r.sample_id = s.sample_id "
         "AND r.reported <= s.received + INTERVAL '{n} days')",
         {"type": TYPES, "n": [1, 2, 3, 4, 5]}),
    Form("never with", "complex",
         ["Which analysts never worked on a {status} worksheet of method {code}?"],
         "SELECT a.name FROM analysts AS a WHERE NOT EXISTS (SELECT 1 FROM worksheets AS w "
         "JOIN methods AS m ON m.method_id = w.method_id WHERE w.analyst_id = a.analyst_id "
         "AND w.status = '{status}' AND m.code = '{code}')",
         {"status": ["open", "complete", "failed"], "code": CODES}),
    Form("top with a tie-break", "complex",
         ["Which {n} clients have the most {name} results? Give name and number; of equal ones the "
          "smaller client number first."],
         f"SELECT c.name, COUNT(*) AS many FROM {FULL} "
         "JOIN clients AS c ON c.client_id = s.client_id WHERE d.name = '{name}' "
         "GROUP BY c.client_id, c.name ORDER BY many DESC, c.client_id "
         "LIMIT {n}", {"n": [1, 3, 5], "name": NAMES}),
]  # fmt: skip
