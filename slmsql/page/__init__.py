"""The HTML report: one file that loads nothing from elsewhere.

In: folders of `slmsql evaluate`, lists of figures, log histories of trainers. Out: a page's text.
`figures`, `curves`, `questions` and `runs` prepare the data; `templates/` holds the HTML and every
sentence of the page. The server's page shares the stylesheet. Imports evaluation and the rooms
above it.

    page("Evaluation", run_sections([read_run("runs/a")]))
"""

from slmsql.page.rendering import STYLESHEET, page, render

__all__ = ["STYLESHEET", "page", "render"]
