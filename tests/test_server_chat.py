"""The server as a chat model, asked with OpenAI's own client."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from slmsql.consistency.prediction import Prediction
from slmsql.execution import Execution, Status, create_database
from slmsql.server.chat import reply_text
from slmsql.server.service import Reply
from tests.running_server import SHOP, answer, start, stop, wait_until
from tests.stand_in import Server

pytestmark = pytest.mark.slow  # the fixture starts a server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("databases")
    create_database(folder / "shop.sqlite", SHOP)
    words = ("--seconds", "1", "--concurrent", "2", "--waiting", "4")
    process, client = start(Server(always=answer), folder, *words, SLMSQL_KEY="secret")
    yield client
    client.close()
    stop(process)


@pytest.fixture(scope="module")
def chat(server):
    url = f"{server.base_url}/v1"
    return openai.OpenAI(base_url=url, api_key="secret", max_retries=0)


def ask(chat, text, **more):
    messages = [{"role": "user", "content": text}]
    return chat.chat.completions.create(model="shop", messages=messages, **more)


def in_flight(server):
    line = "slmsql_questions_under_way"
    return next(
        float(text.split()[1])
        for text in server.get("/metrics").text.splitlines()
        if text.startswith(line)
    )


def test_each_database_is_a_model(chat):
    assert [model.id for model in chat.models.list()] == ["shop"]


def test_the_answer_is_sql_its_rows_and_how_it_was_decided(chat):
    completion = ask(chat, "How many albums?")
    text = completion.choices[0].message.content
    assert text.startswith("```sql\nSELECT name, count(*)")
    assert "AC/DC" in text
    assert "every candidate that ran has this result (4 of 4 agree" in text
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens == 36  # of four candidates


def test_a_stream_has_the_same_text_and_the_usage_if_asked_for(chat):
    whole = ask(chat, "How many albums?").choices[0].message.content
    options = {"include_usage": True}
    chunks = list(ask(chat, "How many albums?", stream=True, stream_options=options))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    without_time = [text.rpartition(",")[0] for text in (whole, "".join(pieces))]
    assert without_time[0] == without_time[1]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 36


def test_the_last_message_of_the_user_is_the_question(chat):
    messages = [
        {"role": "system", "content": "doubt everything"},
        {"role": "user", "content": "doubt"},
        {"role": "assistant", "content": "SELECT 1"},
        {"role": "user", "content": [{"type": "text", "text": "How many albums?"}]},
    ]
    completion = chat.chat.completions.create(model="shop", messages=messages, temperature=0.3)
    assert "(4 of 4 agree" in completion.choices[0].message.content


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"model": "nowhere"}, openai.NotFoundError, "`model` is one of shop"),
        ({"messages": []}, openai.UnprocessableEntityError, "messages: "),
        ({"messages": [{"role": "system", "content": "x"}]}, openai.UnprocessableEntityError, "no"),
        ({"messages": [{"role": "user", "content": " "}]}, openai.UnprocessableEntityError, "no "),
        (
            {"messages": [{"role": "user", "content": "x" * 2001}]},
            openai.UnprocessableEntityError,
            "at most 2000 characters",
        ),
        ({"n": 2}, openai.UnprocessableEntityError, "n: "),
    ],
)
def test_wrong_requests_are_refused_in_the_shape_that_the_client_reads(chat, change, error, says):
    request = {"model": "shop", "messages": [{"role": "user", "content": "albums"}], **change}
    for stream in (False, True):
        with pytest.raises(error) as raised:
            chat.chat.completions.create(**request, stream=stream)
        assert says in raised.value.body["message"]


def test_the_key_is_required(server):
    with pytest.raises(openai.AuthenticationError, match="requires a key"):
        ask(openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="wrong"), "albums")


def test_hostile_sql_is_refused_and_the_rows_stay(chat):
    assert "DELETE" in ask(chat, "delete everything").choices[0].message.content
    assert "AC/DC" in ask(chat, "How many albums?").choices[0].message.content


def test_a_full_queue_is_an_error_before_the_stream_begins(chat, server):
    def outcome(number):
        try:
            reply = ask(chat, f"slow {number}", stream=number % 2 == 0)
            list(reply)  # read the stream to its end
        except openai.InternalServerError as error:
            return error.status_code
        return 200

    with ThreadPoolExecutor(12) as threads:
        outcomes = list(threads.map(outcome, range(12)))
    assert sorted(outcomes) == [200] * 6 + [503] * 6
    wait_until(lambda: in_flight(server) == 0)


def test_a_client_that_leaves_frees_its_place(chat, server):
    headers = {"Authorization": "Bearer secret"}
    body = {"model": "shop", "stream": True}
    for number in range(6):  # fills both places and the queue
        question = [{"role": "user", "content": f"slow {number}"}]
        request = httpx.stream(
            "POST",
            f"{server.base_url}/v1/chat/completions",
            json=body | {"messages": question},
            headers=headers,
        )
        with request as response:
            next(response.iter_lines())
    start = time.monotonic()
    wait_until(lambda: in_flight(server) <= 2)  # those that waited are dropped
    assert time.monotonic() - start < 1
    wait_until(lambda: in_flight(server) == 0)
    assert "AC/DC" in ask(chat, "How many albums?").choices[0].message.content


def test_no_value_can_close_the_fence_around_it():
    execution = Execution(Status.OK, columns=("x",), rows=(("```\n![](http://x)",),), row_count=1)
    reply = Reply(Prediction("q", "SELECT '````'"), execution, (), (), (), 0, 0.0)
    fences = [line for line in reply_text(reply).splitlines() if line.startswith("`")]
    assert fences == ["`````sql", "`````", "````", "``` ![](http://x)", "````"]
