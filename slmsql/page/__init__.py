"""A report as one HTML file that needs nothing else: figures, plots, and the questions behind them.

page(title, sections) puts together what `figures`, `curves` and `questions` draw. Bars are HTML, so
that their labels stay readable on a phone; lines are SVG that stretches.
"""

from slmsql.page.document import page, section

__all__ = ["page", "section"]
