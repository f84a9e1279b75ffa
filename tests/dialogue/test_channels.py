"""Every built-in channel against the conformance kit."""

import pytest

from dialogue.catalog import BUILT_IN
from dialogue.channels.testing import check_channel
from tests.dialogue.platforms import platforms

WITHOUT_WEBHOOK = {"mail", "rest", "callback", "socketio"}
PLATFORMS = platforms()


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_channel_keeps_the_contract(name):
    check_channel(PLATFORMS[name], fuzzed=100)


def test_the_kit_is_run_over_every_channel():
    assert {platform.channel.name for platform in PLATFORMS.values()} == set(BUILT_IN) - WITHOUT_WEBHOOK
