"""Questions on a terminal."""

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from dialogue.channels.ask import asker


@pytest.mark.parametrize(("typed", "answer"), [("\r", "greet"), ("_now\r", "greet_now"), ("\x15bye\r", "bye")])
def test_enter_takes_what_stands_there_and_it_can_be_changed(typed, answer):
    with create_pipe_input() as keys:
        keys.send_text(typed)
        ask = asker(PromptSession(input=keys, output=DummyOutput()))
        assert ask("intent", "greet", ("greet", "bye")) == answer


@pytest.mark.parametrize("key", ["\x04", "\x03"])
def test_ctrl_d_and_ctrl_c_end(key):
    with create_pipe_input() as keys:
        keys.send_text(key)
        with pytest.raises(EOFError):
            asker(PromptSession(input=keys, output=DummyOutput()))("you", "", ())
