"""Messages on a terminal."""

from __future__ import annotations

import threading

from membrane_dask.engine import terminal


def test_a_message_is_printed_only_where_something_is_slow(monkeypatch):
    printed, messages = threading.Event(), []

    def say(text):
        messages.append(text)
        printed.set()

    monkeypatch.setattr(terminal, "say", say)
    with terminal.say_if_slow("not printed", 600):
        pass
    with terminal.say_if_slow("printed", 0):
        assert printed.wait(60)
    assert messages == ["printed"]
