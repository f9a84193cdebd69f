"""Messages on a terminal."""

from __future__ import annotations

import threading

from membrane_dask.engine import terminal


def test_a_stage_is_named_at_once_and_again_while_it_lasts(monkeypatch):
    repeated, messages = threading.Event(), []

    def say(text):
        messages.append(text)
        if len(messages) == 3:
            repeated.set()

    monkeypatch.setattr(terminal, "say", say)
    with terminal.say_stage("compiling", 600):
        assert messages == ["compiling"]
    messages.clear()
    with terminal.say_stage("compiling", 0.01):
        assert repeated.wait(60)
    assert messages[:2] == ["compiling", "compiling: 0 s so far"]
