"""Accessibility findings of a page in the browser, by axe-core."""

import json
from importlib.util import find_spec
from pathlib import Path

NO_AXE = "axe-playwright-python is missing, which carries axe-core"
HARMFUL = ("serious", "critical")


def find_axe():
    """The path of axe-core's script, or None. The package's own code needs Playwright."""
    package = find_spec("axe_playwright_python")
    return package and Path(package.submodule_search_locations[0]) / "axe.min.js"


def harmful_findings(browser):
    """The serious and critical findings: rule, help and the elements concerned."""
    browser.run(find_axe().read_text() + "\n;0")
    found = json.loads(browser.run("axe.run().then((result) => JSON.stringify(result.violations))"))
    return [
        (finding["id"], finding["help"], [node["target"] for node in finding["nodes"]])
        for finding in found
        if finding["impact"] in HARMFUL
    ]
