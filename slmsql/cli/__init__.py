"""Command lines: options from a YAML file and the command line, and running other programs.

In: a dataclass of options and the words of a command. Out: the filled dataclass, or a one-line
error. May import prompt and the rooms before it, for the options that most programs share.
"""
