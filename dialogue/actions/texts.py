"""What a bot says whose domain does not say it: neutral words for the moments every bot has."""

from __future__ import annotations

import re
from collections.abc import Mapping

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")

ENGLISH: Mapping[str, str] = {
    "utter_rephrase": "Sorry, I did not understand that. Could you say it in other words?",
    "utter_ask_rephrase": "Sorry, I did not understand that. Could you say it in other words?",
    "utter_clarify": "Which of these do you mean?",
    "utter_ask_affirmation": "Did I understand you right?",
    "utter_hand_over": "I cannot help any further here. A person will have to take over.",
    "utter_default": "Sorry, I cannot help with that.",
    "utter_error": "Sorry, something went wrong on my side. Please try again later.",
    "yes": "Yes",
    "no": "No",
}
CHINESE: Mapping[str, str] = {
    "utter_rephrase": "抱歉，我没有听懂。您能换个说法吗？",
    "utter_ask_rephrase": "抱歉，我没有听懂。您能换个说法吗？",
    "utter_clarify": "您指的是下面哪一项？",
    "utter_ask_affirmation": "我理解得对吗？",
    "utter_hand_over": "这件事我帮不上忙了，需要请工作人员来处理。",
    "utter_default": "抱歉，这个我帮不上忙。",
    "utter_error": "抱歉，我这边出了点问题，请稍后再试。",
    "yes": "是",
    "no": "不是",
}


def text_for(name: str, heard: str | None, language: str) -> str:
    """The built-in words, in the language of the last message where its script tells, else in the bot's.

    Args:
        name: of the response they stand in for.
        heard: what the user said last.
        language: of the bot, as ISO 639; English stands in for those without words here.
    """
    chinese = HAN.search(heard or "") or language.partition("-")[0].lower() == "zh"
    return (CHINESE if chinese else ENGLISH)[name]
