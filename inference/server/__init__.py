"""Answers over HTTP: the service behind `serve` and `ask`, its routes and its page."""
