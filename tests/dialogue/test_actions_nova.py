"""The example bot's custom actions: real numbers, the right responses, nothing kept outside the conversation."""

from __future__ import annotations

import importlib.util
import inspect
import re
from datetime import date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasa_sdk import Tracker
from rasa_sdk.executor import CollectingDispatcher
from ruamel.yaml import YAML

DATA = Path(__file__).parents[2] / "data"
WEDNESDAY = datetime(2027, 3, 10, 12, 0)
ALL_RESPONSES = YAML(typ="safe").load((DATA / "en" / "domain.yml").read_text("utf-8"))["responses"]


def load_actions() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nova_actions", DATA / "actions.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


nova = load_actions()
CLASSES: list[Any] = [action for _, action in inspect.getmembers(nova, inspect.isclass)]
ACTIONS: dict[str, Any] = {
    action().name(): action
    for action in CLASSES
    if issubclass(action, nova.DeskAction) and not inspect.isabstract(action)
}


def run(
    name: str, now: datetime = WEDNESDAY, said_date: str | None = None, **slots: Any
) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, Any]]:
    """What the action says, as (response, arguments), and the slots as they stand afterwards."""
    entities = [{"entity": "date", "value": said_date}] if said_date else []
    tracker = Tracker("visitor-1", slots, {"entities": entities}, [], False, None, {}, "action_listen")
    dispatcher = CollectingDispatcher()
    events = ACTIONS[name](clock=lambda: now).run(dispatcher, tracker, {})
    said = [(message["response"], _arguments(message)) for message in dispatcher.messages]
    changed = {event["name"]: event["value"] for event in events if event["event"] == "slot"}
    for response, arguments in said:
        assert response in ALL_RESPONSES
        for variation in ALL_RESPONSES[response]:
            assert set(re.findall(r"{(\w+)}", variation["text"])) <= set(arguments)
    return said, {**slots, **changed}


def _arguments(message: dict[str, Any]) -> dict[str, Any]:
    wire = {"text", "buttons", "elements", "custom", "template", "response", "image", "attachment"}
    return {key: value for key, value in message.items() if key not in wire}


def only(said: list[tuple[str, dict[str, Any]]]) -> tuple[str, dict[str, Any]]:
    assert len(said) == 1
    return said[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_domain_lists_exactly_the_actions_that_exist(language: str) -> None:
    domain = DATA / language / "domain.yml"
    if not domain.exists():
        pytest.skip(f"no {language} bot")
    assert sorted(YAML(typ="safe").load(domain.read_text("utf-8"))["actions"]) == sorted(ACTIONS)


# --- the sky


@pytest.mark.parametrize(
    ("moment", "phase"),
    [
        (datetime(2024, 4, 8, 18), "new"),  # total eclipse of the sun
        (datetime(2025, 3, 14, 7), "full"),  # total eclipse of the moon
        (datetime(2026, 8, 12, 18), "new"),
        (datetime(2026, 8, 28, 4), "full"),
        (datetime(2024, 4, 15, 19), "first_quarter"),
        (datetime(2024, 4, 2, 3), "last_quarter"),
    ],
)
def test_moon_phase_agrees_with_eclipses_and_almanac(moment: datetime, phase: str) -> None:
    response, arguments = only(run("action_moon_phase", moment)[0])
    assert response == f"utter_moon_{phase}"
    expected = {"new": 0, "full": 100}.get(phase, 50)
    assert abs(arguments["percent"] - expected) <= 10


def test_full_moon_date_is_the_current_one_at_full_and_the_next_one_after() -> None:
    at_full = only(run("action_moon_phase", datetime(2026, 8, 28, 20))[0])[1]["full_date"]
    after = only(run("action_moon_phase", datetime(2026, 9, 5, 20))[0])[1]["full_date"]
    assert abs(date.fromisoformat(at_full) - date(2026, 8, 28)) <= timedelta(days=1)
    assert abs(date.fromisoformat(after) - date(2026, 9, 26)) <= timedelta(days=1)


@given(st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1)))
def test_moon_facts_stay_in_range(moment: datetime) -> None:
    phase, percent, full = nova.moon_facts(moment)
    assert phase in nova.MOON_PHASES
    assert 0 <= percent <= 100
    assert -3 <= (full - moment.date()).days <= 30


@pytest.mark.parametrize(
    ("planet", "moment", "degrees", "tolerance"),
    [
        ("jupiter", datetime(2026, 1, 10), 180, 2),  # oppositions
        ("saturn", datetime(2026, 10, 4), 180, 3),
        ("mars", datetime(2027, 2, 19), 180, 5),
        ("neptune", datetime(2026, 9, 25), 180, 3),
        ("venus", datetime(2026, 8, 15), 46, 1),  # greatest elongation, in the evening
        ("venus", datetime(2025, 6, 1), -46, 1),  # and in the morning
        ("venus", datetime(2026, 10, 24), 0, 7),  # inferior conjunction
    ],
)
def test_elongation_agrees_with_almanac(planet: str, moment: datetime, degrees: float, tolerance: float) -> None:
    found = nova.elongation(planet, moment)
    assert abs((found - degrees + 180) % 360 - 180) <= tolerance


@given(st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1)))
def test_inner_planets_never_leave_the_sun(moment: datetime) -> None:
    assert abs(nova.elongation("mercury", moment)) <= 28.5
    assert abs(nova.elongation("venus", moment)) <= 48.0


@pytest.mark.parametrize(
    ("planet", "moment", "response"),
    [
        ("Jupiter", datetime(2026, 1, 10), "utter_planet_all_night"),
        ("venus", datetime(2026, 8, 15), "utter_planet_evening"),
        ("金星", datetime(2025, 6, 1), "utter_planet_morning"),
        ("VENUS", datetime(2026, 10, 24), "utter_planet_hidden"),
        ("pluto", WEDNESDAY, "utter_planet_unknown"),
        ("earth", WEDNESDAY, "utter_planet_unknown"),
        (None, WEDNESDAY, "utter_ask_planet"),
    ],
)
def test_planet_visibility_names_the_right_response(planet: str | None, moment: datetime, response: str) -> None:
    assert only(run("action_planet_visibility", moment, planet=planet)[0])[0] == response


def test_faint_planet_comes_with_a_remark_on_telescopes() -> None:
    said, _ = run("action_planet_visibility", datetime(2026, 9, 25), planet="海王星")
    assert [response for response, _ in said] == ["utter_planet_all_night", "utter_planet_faint"]
    assert said[0][1]["planet"] == "海王星"


@pytest.mark.parametrize(
    ("month", "season"), [(1, "winter"), (3, "spring"), (6, "summer"), (9, "autumn"), (11, "autumn"), (12, "winter")]
)
def test_sky_tonight_follows_the_season(month: int, season: str) -> None:
    assert only(run("action_sky_tonight", datetime(2027, month, 15, 20))[0])[0] == f"utter_sky_{season}"


def test_next_eclipse_counts_today_and_admits_the_end_of_the_table() -> None:
    response, arguments = only(run("action_next_eclipse", datetime(2026, 8, 12, 9))[0])
    assert (response, arguments) == (
        "utter_next_eclipse",
        {"solar_date": "2026-08-12", "lunar_date": "2026-08-28"},
    )
    assert only(run("action_next_eclipse", datetime(2026, 8, 13))[0])[1]["solar_date"] == "2027-02-06"
    assert only(run("action_next_eclipse", datetime(2040, 1, 1))[0])[0] == "utter_eclipse_unknown"


@pytest.mark.parametrize("table", ["SOLAR_ECLIPSES", "LUNAR_ECLIPSES"])
def test_eclipse_tables_fit_the_moon(table: str) -> None:
    days = getattr(nova, table)
    assert list(days) == sorted(days)
    wanted = 0.0 if table == "SOLAR_ECLIPSES" else 0.5
    for day in days:
        noon = datetime.fromisoformat(day) + timedelta(hours=12)
        assert abs((nova.moon_fraction(noon) - wanted + 0.5) % 1 - 0.5) * nova.SYNODIC_MONTH < 1.3


# --- the calendar


@pytest.mark.parametrize(
    ("now", "said", "expected"),
    [
        (WEDNESDAY, None, ("utter_open_now", {"opens": "10:00", "closes": "18:00"})),
        (datetime(2027, 3, 12, 22), None, ("utter_open_now", {"opens": "10:00", "closes": "23:00"})),
        (datetime(2027, 3, 10, 9), None, ("utter_opens_later", {"opens": "10:00", "closes": "18:00"})),
        (datetime(2027, 3, 10, 18), None, ("utter_closed_now", {"date": "2027-03-11", "opens": "10:00"})),
        (datetime(2027, 3, 14, 20), None, ("utter_closed_now", {"date": "2027-03-16", "opens": "10:00"})),
        (WEDNESDAY, "tonight", ("utter_open_now", {"opens": "10:00", "closes": "18:00"})),
        (WEDNESDAY, "Saturday", ("utter_day_open", {"date": "2027-03-13", "opens": "10:00", "closes": "23:00"})),
        (
            WEDNESDAY,
            "周一",
            ("utter_day_closed", {"date": "2027-03-15", "next_date": "2027-03-16", "opens": "10:00"}),
        ),
        (
            datetime(2027, 12, 20, 12),
            "24 December",
            ("utter_day_closed", {"date": "2027-12-24", "next_date": "2027-12-28", "opens": "10:00"}),
        ),
        (WEDNESDAY, "when the cows come home", ("utter_open_now", {"opens": "10:00", "closes": "18:00"})),
    ],
)
def test_opening_status(now: datetime, said: str | None, expected: tuple[str, dict[str, str]]) -> None:
    assert only(run("action_opening_status", now, said_date=said)[0]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", date(2027, 3, 10)),
        ("Tonight", date(2027, 3, 10)),
        ("tomorrow evening", date(2027, 3, 11)),
        ("the day after tomorrow", date(2027, 3, 12)),
        ("next Saturday", date(2027, 3, 13)),
        ("Tuesdays", date(2027, 3, 16)),
        ("Wednesday", date(2027, 3, 10)),
        ("this weekend", date(2027, 3, 13)),
        ("12 May", date(2027, 5, 12)),
        ("the 14th of June", date(2027, 6, 14)),
        ("March 9", date(2028, 3, 9)),
        ("2027-03-19", date(2027, 3, 19)),
        ("明天", date(2027, 3, 11)),
        ("后天", date(2027, 3, 12)),
        ("大后天", date(2027, 3, 13)),
        ("星期天", date(2027, 3, 14)),
        ("周五", date(2027, 3, 12)),
        ("下周五", date(2027, 3, 19)),
        ("下星期一", date(2027, 3, 15)),
        ("5月12日", date(2027, 5, 12)),
        ("31 February", None),
        ("2027-02-30", None),
        ("Friday the 20th", None),
        ("some day", None),
        ("", None),
    ],
)
def test_resolve_date(text: str, expected: date | None) -> None:
    assert nova.resolve_date(text, WEDNESDAY.date()) == expected


@given(st.text(max_size=30))
def test_resolve_date_takes_any_text(text: str) -> None:
    resolved = nova.resolve_date(text, WEDNESDAY.date())
    assert resolved is None or isinstance(resolved, date)


# --- bookings


@pytest.mark.parametrize(
    ("words", "number"),
    [("4 people", 4), ("Four", 4), ("a party of twelve", 12), ("两位", 2), ("七", 7), ("12个人", 12), ("none", None)],
)
def test_number_in_words(words: str, number: int | None) -> None:
    assert nova.number_in(words) == number


@pytest.mark.parametrize(
    ("slot", "said", "kept", "response"),
    [
        ("visit_date", "next Saturday", "2027-03-13", None),
        ("visit_date", "Monday", None, "utter_day_closed"),
        ("visit_date", "2027-03-09", None, "utter_date_past"),
        ("visit_date", "Friday the 20th", "Friday the 20th", None),
        ("party_size", "4 people", "4", None),
        ("party_size", "31", None, "utter_party_too_large"),
        ("party_size", "0", None, "utter_party_unclear"),
        ("party_size", "a few", None, "utter_party_unclear"),
        ("email", "lee@home.example", "lee@home.example", None),
        ("email", "lee@home", None, "utter_email_unclear"),
    ],
)
def test_a_detail_is_checked(slot: str, said: str, kept: str | None, response: str | None) -> None:
    tracker = Tracker("visitor-1", {}, {}, [], False, None, {}, "action_listen")
    dispatcher = CollectingDispatcher()
    check = getattr(ACTIONS["validate_booking_form"](clock=lambda: WEDNESDAY), f"validate_{slot}")
    assert check(said, dispatcher, tracker, {}) == {slot: kept}
    assert [message["response"] for message in dispatcher.messages] == ([response] if response else [])
    for message in dispatcher.messages:
        words = ALL_RESPONSES[message["response"]][0]["text"]
        assert set(re.findall(r"{(\w+)}", words)) <= set(_arguments(message))


def test_a_booking_that_is_stopped_forgets_its_details() -> None:
    said, slots = run("action_stop_booking", **ASKED)
    assert only(said)[0] == "utter_booking_stopped"
    assert (slots["visit_date"], slots["party_size"]) == (None, None)


ASKED: dict[str, Any] = {"visit_date": "next Saturday", "party_size": "4", "email": "lee@home.example"}


def test_a_booking_is_made_looked_up_moved_and_cancelled() -> None:
    said, slots = run("action_submit_booking", **ASKED)
    response, booked = only(said)
    assert response == "utter_booking_confirmed"
    assert booked == {**booked, "date": "2027-03-13", "people": "4", "email": "lee@home.example"}
    assert re.fullmatch(r"KH-\d{4}", booked["code"])
    assert slots["visit_date"] is None
    assert slots["party_size"] is None

    said, slots = run("action_check_booking", **slots)
    assert only(said) == ("utter_booking_status", {key: booked[key] for key in ("code", "date", "people")})

    said, slots = run("action_change_booking", **{**slots, "visit_date": "2027-03-19"})
    assert only(said) == ("utter_booking_changed", {"code": booked["code"], "date": "2027-03-19", "people": "4"})

    said, slots = run("action_cancel_booking", **slots)
    assert only(said) == ("utter_booking_cancelled", {"code": booked["code"]})
    assert only(run("action_check_booking", **slots)[0])[0] == "utter_booking_status_cancelled"
    assert only(run("action_cancel_booking", **slots)[0])[0] == "utter_booking_status_cancelled"


def test_the_same_turn_gives_the_same_code_and_the_next_booking_another() -> None:
    first, slots = run("action_submit_booking", **ASKED)
    again, _ = run("action_submit_booking", **ASKED)
    second, slots = run("action_submit_booking", **{**slots, **ASKED})
    assert only(first) == only(again)
    assert only(first)[1]["code"] != only(second)[1]["code"]
    assert len(slots["bookings"]) == 2


@pytest.mark.parametrize("missing", sorted(ASKED))
def test_nothing_is_booked_without_every_detail(missing: str) -> None:
    said, slots = run("action_submit_booking", **{**ASKED, missing: None})
    assert only(said)[0] == "utter_booking_incomplete"
    assert "bookings" not in slots


def test_a_closed_day_is_refused_and_asked_for_again() -> None:
    said, slots = run("action_submit_booking", **{**ASKED, "visit_date": "Monday"})
    response, arguments = only(said)
    assert (response, arguments["next_date"]) == ("utter_day_closed", "2027-03-16")
    assert slots["visit_date"] is None
    assert slots["party_size"] == "4"
    assert "bookings" not in slots

    said, slots = run("action_change_booking", booking_code="KH-4821", visit_date="Monday")
    assert only(said)[0] == "utter_day_closed"
    assert slots["visit_date"] is None


def test_a_date_nobody_understands_is_kept_in_the_visitors_words() -> None:
    said, _ = run("action_submit_booking", **{**ASKED, "visit_date": "Friday the 20th"})
    assert only(said)[1]["date"] == "Friday the 20th"


@pytest.mark.parametrize("action", ["action_check_booking", "action_change_booking", "action_cancel_booking"])
def test_a_code_is_asked_for_and_a_wrong_one_forgotten(action: str) -> None:
    assert only(run(action)[0])[0] == "utter_ask_booking_code"
    said, slots = run(action, booking_code="KH-0000")
    assert only(said) == ("utter_booking_unknown", {"code": "KH-0000"})
    assert slots["booking_code"] is None


@pytest.mark.parametrize("code", ["KH-4821", "kh4821", "my code is KH 4821"])
def test_sample_booking_is_found_however_its_code_is_written(code: str) -> None:
    assert only(run("action_check_booking", booking_code=code)[0]) == (
        "utter_booking_status",
        {"code": "KH-4821", "date": "2027-03-12", "people": "2"},
    )


def test_change_asks_for_the_day_and_may_change_the_party_alone() -> None:
    assert only(run("action_change_booking", booking_code="KH-4821")[0])[0] == "utter_ask_new_date"
    said, _ = run("action_change_booking", booking_code="KH-4821", party_size="3")
    assert only(said) == ("utter_booking_changed", {"code": "KH-4821", "date": "2027-03-12", "people": "3"})


@given(st.dates(date(2026, 1, 1), date(2030, 12, 31)))
def test_sample_bookings_lie_on_open_days_ahead(today: date) -> None:
    for booking in nova.sample_bookings(today).values():
        day = date.fromisoformat(booking["date"])
        assert today < day <= today + timedelta(days=30)
        assert nova.hours_on(day)
