"""`policies:` of config.yml: which policies of ours stand for Rasa's, in the order in which Rasa weighs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dialogue.errors import Where
from dialogue.rasa.found import Row, listing, named, scalar, sentence, table
from dialogue.rasa.parts import Part, read_parts, unknown
from dialogue.training.nodes import Listing, Node, Report, is_empty, plain

DEFAULTS = ("MemoizationPolicy", "RulePolicy", "UnexpecTEDIntentPolicy", "TEDPolicy")
STEPS = ("rephrase", "clarify", "fall_back")  # a Rasa bot has no person to hand over to
FALLBACK = "action_default_fallback"
CHECKS: Mapping[str, str] = MappingProxyType({"restrict_rules": "restrict", "check_for_contradictions": "check"})


@dataclass(frozen=True, slots=True)
class Known:
    """A policy of Rasa: the policies of ours that stand for it, in our order, and what is different."""

    here: tuple[str, ...]
    remark: str = ""
    carried: tuple[str, ...] = ()
    lost: bool = False


_LEARNING = ("max_history", "epochs", "priority")
POLICIES: Mapping[str, Known] = MappingProxyType(
    {
        "RulePolicy": Known(("forms", "rules")),
        "MemoizationPolicy": Known(("memory",), "older turns are forgotten until a story fits", ("max_history",)),
        "AugmentedMemoizationPolicy": Known(("memory",), "", ("max_history",)),
        "TEDPolicy": Known(("memory", "transformer"), "acts only where its posterior is sure enough", _LEARNING),
        "UnexpecTEDIntentPolicy": Known((), "an unlikely intent is never told by action_unlikely_intent", _LEARNING),
        "MappingPolicy": Known((), "went with Rasa 1; write a rule", lost=True),
        "FormPolicy": Known(("forms",), "went with Rasa 1; RulePolicy has the forms"),
        "FallbackPolicy": Known((), "went with Rasa 1; use FallbackClassifier", lost=True),
        "TwoStageFallbackPolicy": Known((), "went with Rasa 1; write a rule for nlu_fallback", lost=True),
    }
)
ORDER = ("forms", "rules", "memory", "transformer")


def read_policies(section: Node, gate: Mapping[str, Node] | None, report: Report) -> tuple[Listing, list[Row]]:
    """Read the list under `policies:`; nothing written is Rasa's default policies.

    Args:
        section: the list.
        gate: options of the confidence gate, or None for its default: what is not understood starts no story.
        report: gets what is no list of policies.

    Returns:
        The value of `policies:` in bot.yml, and a row for each policy.
    """
    parts = list(read_parts(section, "policies", POLICIES, report))
    rows = [_row(part) for part in parts]
    if not parts and is_empty(section):
        parts = [Part(name, section.where, {}) for name in DEFAULTS]
        rows = [Row(section.where, "policies", ", ".join(ORDER), "nothing is listed: as Rasa's default policies")]
    wanted = {name for part in parts if part.name in POLICIES for name in POLICIES[part.name].here}
    chosen = [_chosen(name, parts, section.where) for name in ORDER if name in wanted]
    chosen.append(table(section.where, {"type": "confidence", **(gate or {})}))
    chosen.append(_ladder(parts, section.where))
    return listing(section.where, chosen), rows


def _row(part: Part) -> Row:
    known = POLICIES.get(part.name)
    if known is None:
        return unknown(part, "policy", POLICIES)
    if part.name == "RulePolicy":
        return _rule_row(part)
    left = named(part.others(*known.carried), "no such options here")
    return Row(part.where, part.name, ", ".join(known.here), sentence(known.remark, left), known.lost)


def _rule_row(part: Part) -> Row:
    """The core fallback is our last policy: it has no threshold, as nothing before it guesses."""
    known = ("core_fallback_threshold", "core_fallback_action_name", "enable_fallback_prediction")
    threshold = named(list(part.given(known[0])), "the last policy falls back whenever no other decides")
    enabled = plain(part.options["enable_fallback_prediction"]) if known[2] in part.options else True
    never = "" if enabled else "the fallback stays: a message is never left unanswered"
    left = named(part.others(*known, *CHECKS), "no such options here")
    return Row(part.where, part.name, "forms, rules, fallback", sentence(threshold, never, left))


def _chosen(name: str, parts: list[Part], where: Where) -> Node:
    """One of our policies with the options and the place of the first of Rasa's that it stands for."""
    owners = [part for part in parts if part.name in POLICIES and name in POLICIES[part.name].here]
    exact = [part for part in owners if part.name.endswith("MemoizationPolicy")]
    owner = (exact or owners)[0]
    if name == "rules":
        return table(owner.where, {"type": name, **{CHECKS[key]: node for key, node in owner.given(*CHECKS).items()}})
    history = owner.given("max_history") if name in ("memory", "transformer") else {}
    return table(owner.where, {"type": name, **history})


def _ladder(parts: list[Part], where: Where) -> Node:
    steps = listing(where, [scalar(where, step) for step in STEPS])
    ladder: dict[str, Node] = {"type": scalar(where, "fallback"), "steps": steps}
    for part in parts:
        action = part.given("core_fallback_action_name") if part.name == "RulePolicy" else {}
        if action and plain(action["core_fallback_action_name"]) != FALLBACK:
            ladder["fall_back_action"] = action["core_fallback_action_name"]
    return table(where, ladder)
