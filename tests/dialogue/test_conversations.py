"""The golden conversations with the trained bot, as a person would expect them."""

from contextlib import closing

import pytest

from dialogue.project import open_bot
from policies.types import Kind
from tests.conversations.nova import LANGUAGES, deviations, golden, replay

LONG, FALLS_SHORT = 30, 2  # turns


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_golden_conversation_is_long_and_nearly_all_of_it_goes_well(language):
    lines = golden(language)
    assert len(lines) >= LONG
    assert sum(bool(line.falls_short) for line in lines) <= FALLS_SHORT


@pytest.mark.model
@pytest.mark.timeout(900)  # it trains the whole example bot
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_bot_talks_as_a_person_expects(language, request):
    with closing(open_bot(request.getfixturevalue(f"nova_{language}"))) as bot:
        turns = list(replay(bot, language))
    assert [found for line, turn in turns if not line.falls_short for found in deviations(line, turn)] == []
    assert all(turn.replies for _, turn in turns)
    for _, turn in turns:
        if turn.decision.kind is not Kind.ACT:
            assert turn.decision.confidence < 0.8
