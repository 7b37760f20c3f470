"""The endpoint sampler against servers that behave and servers that do not."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from slmsql.sampling.endpoint_sampler import EndpointSampler, _seconds_asked
from slmsql.sampling.options import SamplerOptions
from slmsql.sampling.sampler import Request, SamplingParams
from tests.stand_in import Server, choice, proper

MESSAGES = [{"role": "user", "content": "Who?"}]
THINK = SamplingParams(stop=("</answer>",))


@pytest.fixture
def serve():
    servers = []

    def start(*script, always=None):
        servers.append(Server(script, always))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(servers, *requests, **options):
    settings = {"retries": 3, "backoff": 0.01, "timeout": 0.5} | options
    urls = [server if isinstance(server, str) else server.url for server in servers]
    sampler = EndpointSampler(SamplerOptions(model="m", endpoints=urls, **settings))
    for request in requests:
        sampler.submit(request)
    done = {}
    while len(done) < len(requests):
        done |= {completed.key: completed for completed in sampler.completed()}
    assert sampler.completed() == []
    sampler.close()
    return done


def request(key="q", n=2, seed=5, sampling=THINK):
    return Request(key, MESSAGES, n, seed, sampling)


def test_a_server_is_asked_for_all_samples_at_once(serve):
    server = serve()
    done = ask([server], request(n=3))["q"]
    (path, _, body) = server.seen[0]
    assert path == "/v1/chat/completions"
    assert (body["n"], body["seed"], body["stop"]) == (3, 5, ["</answer>"])
    assert len(done.samples) == 3
    assert (done.error, done.prompt_tokens, done.samples[0].tokens) == (None, 7, 5)


def test_the_stop_text_is_put_back(serve):
    done = ask([serve()], request())["q"]
    assert done.samples[0].text.endswith("SELECT 5\n</answer>")


def test_a_truncated_completion_gets_no_stop_text_and_says_so(serve):
    server = serve(lambda _: {"choices": [choice("<answer>SELECT na", "length")]})
    (sample,) = ask([server], request(n=1))["q"].samples
    assert (sample.text, sample.finish) == ("<answer>SELECT na", "length")
    assert ask([serve()], request(n=1))["q"].samples[0].finish == "stop"
    silent = {"choices": [{"message": {"content": "SELECT 1"}}]}
    assert ask([serve(lambda _: silent)], request(n=1))["q"].samples[0].finish == ""


def test_the_servers_own_sampling_defaults_are_overridden(serve):
    server = serve()
    ask([server], request())
    body = server.seen[0][2]
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (-1, 0.0, 1.0)


def strict_server(known, words):
    """A server that refuses parameters it does not know; `words` makes the refusal's text."""

    def answer(body):
        unknown = sorted(body.keys() - known)
        return (400, {"error": {"message": words(unknown)}}) if unknown else proper(body)

    return answer


KNOWN = {"model", "messages", "n", "seed", "temperature"}


@pytest.mark.parametrize(
    ("known", "words", "last"),
    [
        (
            KNOWN | {"max_tokens", "stop", "top_p"},
            lambda names: f"Unrecognized request arguments supplied: {', '.join(names)}",
            KNOWN | {"max_tokens", "stop", "top_p"},
        ),
        (
            KNOWN | {"max_completion_tokens"},
            lambda names: (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead."
                if "max_tokens" in names
                else f"Unsupported parameter: '{names[0]}' is not supported with this model."
            ),
            KNOWN | {"max_completion_tokens"},
        ),
        (
            KNOWN | {"max_tokens", "stop", "top_p", "repetition_penalty"},
            lambda names: (
                f'[{{"loc": ["body", "{names[0]}"], "msg": "Extra inputs not permitted"}}]'
            ),
            KNOWN | {"max_tokens", "stop", "top_p", "repetition_penalty"},
        ),
    ],
)
def test_a_server_is_asked_without_parameters_that_it_does_not_know(serve, known, words, last):
    server = serve(always=strict_server(known, words))
    done = ask([server], request("q0"), request("q1"), concurrency=1)
    assert [completed.error for completed in done.values()] == [None, None]
    assert server.seen[-1][2].keys() == last
    assert server.seen[-2][2].keys() == last  # the second question is asked rightly at once
    limits = {server.seen[-1][2].get(name) for name in ("max_tokens", "max_completion_tokens")}
    assert limits == {1024, None}


def test_a_stop_text_that_a_server_does_not_know_is_found_here(serve):
    answer = choice("<answer>SELECT 1</answer> and so on")
    (sample,) = ask([serve(lambda _: {"choices": [answer]})], request(n=1))["q"].samples
    assert sample.text == "<answer>SELECT 1</answer>"


def test_a_refusal_of_one_prompt_changes_nothing_for_others(serve):
    filtered = (400, {"error": "'stop' top_k repetition_penalty: the prompt is filtered"})
    server = serve(lambda _: filtered, lambda _: filtered)
    done = ask([server], request("q0"), request("q1"), concurrency=1)
    assert "filtered" in done["q0"].error
    assert done["q1"].error is None
    assert server.seen[-1][2].keys() == server.seen[0][2].keys()


def test_a_parameter_that_we_need_is_never_left_out(serve):
    refusal = (400, {"error": "Unsupported parameter: 'top_p' is not supported with this model."})
    done = ask([serve(lambda _: refusal)], request(sampling=SamplingParams(top_p=0.9)))["q"]
    assert "'top_p' is not supported" in done.error


def test_seconds_are_those_of_the_call_that_answers(serve):
    slow = lambda body: time.sleep(0.2) or proper(body)  # noqa: E731
    server = serve("stall", slow, always=slow)
    started = time.monotonic()
    done = ask([server], request("q0"), request("q1"), concurrency=1, backoff=0.3)
    assert time.monotonic() - started > 0.5 + 0.15 + 0.2 + 0.2  # the limit, a pause and two answers
    assert [0.2 < completed.seconds < 0.45 for completed in done.values()] == [True, True]


def test_reasoning_content_is_put_back_into_the_completion(serve):
    answer = choice("<answer>SELECT 1", reasoning_content="hm")
    text = ask([serve(lambda _: {"choices": [answer]})], request(n=1))["q"].samples[0].text
    assert text == "<think>\nhm\n</think>\n<answer>SELECT 1</answer>"


@pytest.mark.parametrize(
    ("refusal", "asked"),
    [
        ("Field 'n': Value must be between 1 <= value <= 2, but got 3", [(3, 5), (2, 5), (1, 7)]),
        (
            "n_cmpl cannot be greater than the number of slots, please increase -np",
            [(3, 5), (1, 5), (1, 6), (1, 7)],
        ),
    ],
)
def test_a_server_that_completes_few_at_once_is_called_several_times(serve, refusal, asked):
    server = serve(lambda _: (400, {"error": {"message": refusal}}), always=proper)
    done = ask([server], request(n=3), concurrency=1)["q"]
    assert len(done.samples) == 3
    assert [(body["n"], body["seed"]) for _, _, body in server.seen] == asked


def test_a_server_that_ignores_n_is_called_again(serve):
    answer = lambda body: proper(body, count=1)  # noqa: E731
    server = serve(answer, answer, answer)
    done = ask([server], request(n=3))["q"]
    assert [sample.text.split()[5] for sample in done.samples] == ["5", "6", "7"]
    assert done.prompt_tokens == 21


def test_log_probabilities_are_means_over_tokens(serve):
    logprobs = {"content": [{"logprob": -1.0}, {"logprob": -3.0}]}
    server = serve(lambda _: {"choices": [choice("SELECT 1") | {"logprobs": logprobs}]})
    done = ask([server], request(n=1, sampling=SamplingParams(logprobs=True)))["q"]
    assert server.seen[0][2]["logprobs"] is True
    assert done.samples[0].logprob == -2.0


@pytest.mark.parametrize(
    "fault",
    ["overloaded", "broken", "garbage", "empty", "odd", "null", "hang_up", "half", "stall"],
)
def test_a_request_is_retried_after_a_fault(serve, fault):
    done = ask([serve(fault)], request())["q"]
    assert done.error is None
    assert len(done.samples) == 2


def test_a_request_that_keeps_failing_is_a_temporary_error(serve):
    server = serve(always="broken")
    done = ask([server], request())["q"]
    assert done.temporary
    assert "status 500" in done.error
    assert len(server.seen) == 4


def test_a_final_refusal_is_not_retried(serve):
    server = serve(always="unknown_model")
    done = ask([server], request())["q"]
    assert len(server.seen) == 1
    assert done.temporary  # the question is not to blame


def test_a_prompt_that_is_too_long_is_a_final_error(serve):
    done = ask([serve(always="too_long")], request())["q"]
    assert not done.temporary
    assert "context length" in done.error


def small_model(prompt_tokens, context=2048):
    """A server as vLLM 0.31 is: it stops counting a prompt where the completion would begin."""

    def answer(body):
        longest = context - body["max_tokens"]
        if prompt_tokens <= longest:
            usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 5 * body["n"]}
            return proper(body) | {"usage": usage}
        text = (
            f"This model's maximum context length is {context} tokens. However, you requested "
            f"{body['max_tokens']} output tokens and your prompt contains at least {longest + 1} "
            f"input tokens, for a total of at least {context + 1} tokens."
        )
        return 400, {"error": {"message": text}}

    return answer


def test_a_completion_that_is_too_long_is_asked_for_again_with_the_room_left(serve):
    server = serve(always=small_model(1200))
    done = ask([server], request(n=3))["q"]
    assert (done.error, len(done.samples), done.prompt_tokens) == (None, 3, 1200)
    assert [(body["max_tokens"], body["n"]) for _, _, body in server.seen] == [
        (1024, 3),
        (1, 1),
        (848, 3),
    ]


@pytest.mark.parametrize(
    "refusal",
    [
        "This model's maximum context length is 2048 tokens. However, you requested 2224 tokens",
        "Requested token count exceeds the model's maximum context length of 2048 tokens.",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1200",
        "the prompt (1200) and max_tokens (1024) exceed max_model_len=2048",
    ],
)
def test_the_words_of_different_servers_are_understood(serve, refusal):
    server = serve(lambda _: (400, {"error": refusal}), always=small_model(1200))
    assert ask([server], request())["q"].error is None
    assert server.seen[-1][2]["max_tokens"] == 848


def test_a_limit_of_the_completion_is_kept(serve):
    refusal = (
        400,
        {"error": "max_tokens is too large: 1024. It supports at most 500 completion tokens"},
    )
    server = serve(lambda _: refusal)
    assert ask([server], request())["q"].error is None
    assert server.seen[1][2]["max_tokens"] == 500


def test_a_prompt_without_room_for_any_completion_is_a_final_error(serve):
    done = ask([serve(always=small_model(2048))], request())["q"]
    assert (done.temporary, done.fatal, done.samples) == (False, False, [])


def test_a_content_filter_is_a_final_error_of_one_question(serve):
    done = ask([serve("filtered")], request("q0"), request("q1"), concurrency=1)
    assert (done["q0"].temporary, done["q0"].fatal) == (False, False)
    assert done["q1"].error is None


def test_a_wrong_key_is_found_with_the_first_request(serve):
    server = serve(always="wrong_key")
    done = ask([server], *(request(f"q{n}") for n in range(40)), concurrency=1)
    assert len(server.seen) == 1
    assert all(completed.fatal and "status 401" in completed.error for completed in done.values())


def test_a_dead_server_ends_the_wait(serve):
    server = serve(always="broken")
    done = ask([server], *(request(f"q{n}") for n in range(40)), concurrency=1, retries=1)
    assert len(server.seen) == 10  # two tries of five requests
    assert all(completed.temporary for completed in done.values())
    assert [completed.fatal for completed in done.values()] == [False] * 4 + [True] * 36


def test_a_server_that_answers_others_is_not_dead(serve):
    faults = ["broken", "broken", None] * 20
    done = ask([serve(*faults)], *(request(f"q{n}") for n in range(60)), retries=0, concurrency=1)
    assert not any(completed.fatal for completed in done.values())


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("3.5", 3.5, 3.5),
        ("0", 0, 0),
        ("-5", 0, 0),
        ("nan", 0, 0),
        ("1e9", 300, 300),
        ("soon", 0, 0),
        ("", 0, 0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0),
    ],
)
def test_a_server_asks_to_wait_for_seconds(header, low, high):
    assert low <= _seconds_asked(header) <= high


@pytest.mark.parametrize(("offset", "low", "high"), [(200, 100, 200), (-200, 0, 0)])
def test_a_server_asks_to_wait_until_a_date(offset, low, high):
    date = datetime.now(UTC) + timedelta(seconds=offset)
    assert low <= _seconds_asked(format_datetime(date)) <= high


def test_the_pauses_of_many_requests_differ():
    sampler = EndpointSampler(SamplerOptions(model="m", endpoints=["http://x"], backoff=1.0))
    pauses = {sampler._pause(turn, 2.0) for turn in range(3) for _ in range(20)}
    assert len(pauses) == 60
    assert 2.5 <= min(pauses) < max(pauses) <= 6
    sampler.close()


def test_all_completion_tokens_are_counted(serve):
    answer = lambda body: proper(body) | {"usage": {"completion_tokens": 11}}  # noqa: E731
    done = ask([serve(answer)], request(n=3))["q"]
    assert [sample.tokens for sample in done.samples] == [4, 4, 3]


def test_a_prompt_that_is_not_unicode_is_a_final_error(serve):
    messages = [{"role": "user", "content": "\ud800"}]
    done = ask([serve()], Request("q", messages, 1, 0, THINK))["q"]
    assert not done.temporary
    assert "not valid Unicode" in done.error


def test_a_missing_server_is_replaced_by_the_next(serve):
    done = ask(["http://127.0.0.1:9", serve()], *(request(f"q{n}") for n in range(6)))
    assert all(completed.error is None for completed in done.values())


def test_a_server_that_dies_during_the_run_loses_no_question(serve):
    dying, living = serve(always="hang_up"), serve()
    done = ask([dying, living], *(request(f"q{n}") for n in range(40)), concurrency=8)
    assert all(c.error is None and len(c.samples) == 2 for c in done.values())


def test_servers_share_the_work(serve):
    servers = [serve(), serve()]
    ask(servers, *(request(f"q{n}") for n in range(10)))
    assert [len(server.seen) for server in servers] == [5, 5]


def test_a_mix_of_all_faults_gives_every_question_its_samples(serve):
    faults = ["overloaded", "broken", "garbage", "empty", "odd", "null", "hang_up", "half"]
    server = serve(*(faults * 3))
    questions = [request(f"q{n}", n=3, seed=n) for n in range(50)]
    done = ask([server], *questions, retries=8)
    assert Counter(len(completed.samples) for completed in done.values()) == {3: 50}
    for number in range(50):
        assert f"SELECT {number}\n" in done[f"q{number}"].samples[0].text


def test_the_key_comes_from_the_environment(serve, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    server = serve()
    ask([server], request(), key_env="MY_KEY")
    assert server.seen[0][1]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/chat/completions"])
def test_endpoint_urls_are_accepted_in_each_form(serve, tail):
    server = serve()
    ask([server.url + tail], request())
    assert server.seen[0][0] == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("tail", "path"),
    [
        ("/v1?api-version=2", "/v1/chat/completions?api-version=2"),
        ("?api-version=2", "/v1/chat/completions?api-version=2"),
        ("/v1/chat/completions?api-version=2", "/v1/chat/completions?api-version=2"),
        ("/openai/deployments/m?a=1", "/openai/deployments/m/chat/completions?a=1"),
    ],
)
def test_the_query_of_a_url_stays_at_its_end(serve, tail, path):
    server = serve()
    ask([server.url + tail], request())
    assert server.seen[0][0] == path
