"""Asks a sampler for completions of one prompt and waits for them."""

from slmsql.sampling.sampler import Request, SamplingParams

MESSAGES = [
    {"role": "system", "content": "You write SQLite."},
    {"role": "user", "content": "How many singers are there?"},
]


def complete(sampler, n=3, seed=1, messages=MESSAGES, database=None, **settings):
    """The completed request, which may have an error."""
    sampling = SamplingParams(**{"max_tokens": 16, **settings})
    sampler.submit(Request("q", messages, n, seed, sampling, database))
    done = []
    while not done:
        done = sampler.completed()
    (completed,) = done
    return completed
