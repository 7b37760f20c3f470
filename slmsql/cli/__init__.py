"""Options of programs: a YAML file, then the command line, checked alike.

In: a dataclass of options and the words of a command. Out: the dataclass, or one line of error.
Imports prompt and questions, for the options that most programs share.
"""
