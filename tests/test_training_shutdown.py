"""A program waits for gloo's threads, which must not run while Python shuts down."""

import time
from hashlib import pbkdf2_hmac
from pathlib import Path
from threading import Event, Thread, get_native_id

from slmsql.training.shutdown import THREAD_NAME, wait_for_gloo


def test_it_returns_when_a_thread_of_that_name_is_at_rest():
    named, end, work = Event(), Event(), []

    def run():
        Path(f"/proc/self/task/{get_native_id()}/comm").write_text(THREAD_NAME)
        named.set()
        pbkdf2_hmac("sha256", b"", b"", 500_000)  # work without Python's lock
        work.append("done")
        end.wait()

    thread = Thread(target=run)
    thread.start()
    named.wait()
    wait_for_gloo()
    assert work == ["done"]
    end.set()
    thread.join()


def test_it_does_not_wait_where_there_is_no_such_thread():
    start = time.monotonic()
    wait_for_gloo()
    assert time.monotonic() - start < 1


def test_it_gives_up_after_its_time():
    named, end = Event(), Event()

    def run():
        Path(f"/proc/self/task/{get_native_id()}/comm").write_text(THREAD_NAME)
        named.set()
        while not end.is_set():
            pbkdf2_hmac("sha256", b"", b"", 50_000)

    thread = Thread(target=run)
    thread.start()
    named.wait()
    start = time.monotonic()
    wait_for_gloo(timeout=0.3)
    assert time.monotonic() - start < 5
    end.set()
    thread.join()
