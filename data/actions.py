"""What Nova works out for visitors: the sky, the opening hours and their bookings.

Every action names a response of the domain and hands it numbers, names and ISO dates only, so that one set of actions
serves every language. Nothing is kept outside the conversation: what was booked lives in the slot `bookings`.
"""

from __future__ import annotations

import cmath
import math
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from rasa_sdk import Action, FormValidationAction, Tracker
from rasa_sdk.events import EventType, FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

Clock = Callable[[], datetime]
Booking = dict[str, str]
Domain = Mapping[str, Any]
Events = list[EventType]

# --- the sky ----------------------------------------------------------------------------------------------------------

SYNODIC_MONTH = 29.530588853  # mean days from new moon to new moon
NEW_MOON, J2000 = datetime(2000, 1, 6, 18, 14), datetime(2000, 1, 1, 12)
MOON_PHASES = (
    *("new", "waxing_crescent", "first_quarter", "waxing_gibbous"),
    *("full", "waning_gibbous", "last_quarter", "waning_crescent"),
)

# Semi-major axis [au], eccentricity, mean longitude [deg], its motion [deg/century], longitude of perihelion [deg], at
# J2000: E. M. Standish, "Approximate Positions of the Planets", table 1 (1800-2050).
ORBITS = {
    "earth": (1.00000261, 0.01671123, 100.46457166, 35999.37244981, 102.93768193),
    "mercury": (0.38709927, 0.20563593, 252.25032350, 149472.67411175, 77.45779628),
    "venus": (0.72333566, 0.00677672, 181.97909950, 58517.81538729, 131.60246718),
    "mars": (1.52371034, 0.09339410, -4.55343205, 19140.30268499, -23.94362959),
    "jupiter": (5.20288700, 0.04838624, 34.39644051, 3034.74612775, 14.72847983),
    "saturn": (9.53667594, 0.05386179, 49.95424423, 1222.49362201, 92.59887831),
    "uranus": (19.18916464, 0.04725744, 313.23810451, 428.48202785, 170.95427630),
    "neptune": (30.06992276, 0.00859048, -55.12002969, 218.45945325, 44.96476227),
}
ZH_PLANETS = dict(zip(("水星", "金星", "火星", "木星", "土星", "天王星", "海王星"), list(ORBITS)[1:], strict=True))
FAINT_PLANETS = ("uranus", "neptune")
LOST_IN_TWILIGHT, NEAR_OPPOSITION = 12.0, 150.0  # degrees from the sun

# Days of greatest eclipse (UTC), penumbral ones of the moon left out.
SOLAR_ECLIPSES = (
    *("2026-02-17", "2026-08-12", "2027-02-06", "2027-08-02", "2028-01-26", "2028-07-22"),
    *("2029-01-14", "2029-06-12", "2029-07-11", "2029-12-05", "2030-06-01", "2030-11-25"),
)
LUNAR_ECLIPSES = ("2026-03-03", "2026-08-28", "2028-01-12", "2028-07-06", "2028-12-31", "2029-06-26", "2029-12-20")


def moon_fraction(moment: datetime) -> float:
    """How far the mean moon is from one new moon (0) to the next (1); right to about half a day."""
    return (moment - NEW_MOON) / timedelta(days=SYNODIC_MONTH) % 1.0


def moon_facts(moment: datetime) -> tuple[str, int, date]:
    """The phase's name, the lit part of the disc in percent, and the day of the full moon now or next."""
    fraction = moon_fraction(moment)
    phase = MOON_PHASES[round(fraction * 8) % 8]
    percent = round(50 * (1 - math.cos(2 * math.pi * fraction)))
    # A moon that is still called full keeps its own date for the day or two after it.
    to_full = ((0.5 - fraction + 1 / 16) % 1.0 - 1 / 16) * SYNODIC_MONTH
    return phase, percent, (moment + timedelta(days=to_full)).date()


def heliocentric(planet: str, moment: datetime) -> complex:
    """Position in the plane of the ecliptic [au], real axis to the spring equinox; inclination is neglected."""
    axis, eccentricity, longitude, motion, perihelion = ORBITS[planet]
    centuries = (moment - J2000) / timedelta(days=36525)
    anomaly = math.radians(longitude + motion * centuries - perihelion)
    anomaly += 2 * eccentricity * math.sin(anomaly) + 1.25 * eccentricity**2 * math.sin(2 * anomaly)
    radius = axis * (1 - eccentricity**2) / (1 + eccentricity * math.cos(anomaly))
    return cmath.rect(radius, anomaly + math.radians(perihelion))


def elongation(planet: str, moment: datetime) -> float:
    """Angle from the sun to the planet as seen from Earth, in degrees; positive in the east (evening sky)."""
    earth = heliocentric("earth", moment)
    return math.degrees(cmath.phase((heliocentric(planet, moment) - earth) / -earth))


def planet_response(planet: str, moment: datetime) -> tuple[str, int]:
    """The response that tells where the planet stands, and its distance from the sun in whole degrees."""
    angle = elongation(planet, moment)
    if abs(angle) < LOST_IN_TWILIGHT:
        kind = "hidden"
    elif abs(angle) > NEAR_OPPOSITION:
        kind = "all_night"
    else:
        kind = "evening" if angle > 0 else "morning"
    return f"utter_planet_{kind}", round(abs(angle))


def season(day: date) -> str:
    """The season of the northern evening sky, by whole months."""
    return ("winter", "spring", "summer", "autumn")[day.month % 12 // 3]


# --- the calendar -----------------------------------------------------------------------------------------------------

MONDAY, FRIDAY, SATURDAY = 0, 4, 5
CLOSED_DAYS = {(12, 24), (12, 25), (12, 26), (1, 1)}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NAMED_DAYS = (  # the longer expression before the one it contains
    (r"day after tomorrow|(?<!大)后天", 2),
    (r"大后天", 3),
    (r"\btomorrow\b|明天|明晚", 1),
    (r"\b(today|tonight|now)\b|\bthis evening\b|今天|今晚|现在", 0),
)


def hours_on(day: date) -> tuple[str, str] | None:
    """Opening and closing time of a day, None when the house is closed."""
    if day.weekday() == MONDAY or (day.month, day.day) in CLOSED_DAYS:
        return None
    return "10:00", "23:00" if day.weekday() in (FRIDAY, SATURDAY) else "18:00"


def next_open_day(day: date) -> tuple[date, str]:
    """The first open day from this one on, and when it opens."""
    while (hours := hours_on(day)) is None:
        day += timedelta(days=1)
    return day, hours[0]


def resolve_date(text: str, today: date) -> date | None:
    """The day that words such as "tomorrow", "next Friday", "12 May", "周五" or "5月12日" mean, None if unclear."""
    words = text.strip().lower()
    if found := re.search(r"(\d{4})-(\d{1,2})-(\d{1,2})", words):
        return _valid(int(found[1]), int(found[2]), int(found[3]))
    if (month_day := _month_and_day(words)) is not None:
        this_year = _valid(today.year, *month_day)
        return this_year if this_year and this_year >= today else _valid(today.year + 1, *month_day)
    for pattern, days in NAMED_DAYS:
        if re.search(pattern, words):
            return today + timedelta(days=days)
    weekday = None if re.search(r"\d", words) else _weekday(words)  # "Friday the 20th" need not be the next one
    if weekday is None:
        return None
    ahead = 7 - today.weekday() + weekday if "下" in words else (weekday - today.weekday()) % 7
    return today + timedelta(days=ahead)


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _month_and_day(words: str) -> tuple[int, int] | None:
    if found := re.search(r"(\d{1,2})月(\d{1,2})[日号]?", words):
        return int(found[1]), int(found[2])
    name = rf"\b({'|'.join(MONTHS)})[a-z]*\.?"
    if found := re.search(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {name}", words):
        return MONTHS.index(found[2]) + 1, int(found[1])
    if found := re.search(rf"{name} (?:the )?(\d{{1,2}})", words):
        return MONTHS.index(found[1]) + 1, int(found[2])
    return None


def _weekday(words: str) -> int | None:
    if re.search(r"\bweekend\b|周末", words):
        return SATURDAY
    if found := re.search(r"(?:周|星期|礼拜)([一二三四五六日天])", words):
        return "一二三四五六日".index(found[1].replace("天", "日"))
    found = re.search(rf"\b({'|'.join(WEEKDAYS)})(?:day|sday|nesday|rsday|urday|s|rs)?s?\b", words)
    return WEEKDAYS.index(found[1]) if found else None


# --- bookings ---------------------------------------------------------------------------------------------------------


LARGEST_PARTY = 30
NUMBERS = {
    **dict(zip("一二三四五六七八九十", range(1, 11), strict=True)),
    "两": 2,
    "俩": 2,
    "仨": 3,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
}


def number_in(words: str) -> int | None:
    """The number that "4 people", "four" or "四位" name, None if there is none."""
    if found := re.search(r"\d+", words):
        return int(found[0])
    return next((NUMBERS[word] for word in re.findall(r"[a-z]+|[一-龥]", words.lower()) if word in NUMBERS), None)


def sample_bookings(today: date) -> dict[str, Booking]:
    """Bookings to try the bot with, always in the near future."""
    friday = today + timedelta(days=(FRIDAY - today.weekday() - 1) % 7 + 1)
    first, second, third = (f"{next_open_day(friday + timedelta(days=days))[0]}" for days in (0, 8, 15))
    return {
        "KH-4821": {"date": first, "people": "2"},
        "KH-1911": {"date": second, "people": "5"},
        "KH-3003": {"date": third, "people": "4", "status": "cancelled"},
    }


def booking_code(text: str) -> str:
    """A code in its usual form: "kh 4821" is KH-4821."""
    found = re.search(r"kh[-\s]?(\d{4})", text.lower())
    return f"KH-{found[1]}" if found else text.strip().upper()


def new_code(conversation: str, taken: Mapping[str, Booking]) -> str:
    """A code that is not taken, the same whenever the same turn is run again."""
    number = zlib.crc32(f"{conversation}/{len(taken)}".encode())
    while (code := f"KH-{1000 + number % 9000}") in taken:
        number += 1
    return code


# --- the actions ------------------------------------------------------------------------------------------------------


class DeskAction(Action, ABC):  # type: ignore[misc]  # rasa-sdk is untyped
    """An action that knows what time it is on Kestrel Hill; `clock` gives local time, without a time zone."""

    def __init__(self, clock: Clock = datetime.now) -> None:
        self.clock = clock

    @abstractmethod
    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> Events: ...

    def open_day(self, words: str, dispatcher: CollectingDispatcher) -> str | None:
        """The ISO date the words mean (the words if unclear); None, after saying so, when the house is closed then."""
        day = resolve_date(words, self.clock().date())
        if day is None:
            return words
        if hours_on(day):
            return day.isoformat()
        response, facts = status_on(day)
        dispatcher.utter_message(response=response, **facts)
        return None


class SkyTonight(DeskAction):
    def name(self) -> str:
        return "action_sky_tonight"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> Events:
        dispatcher.utter_message(response=f"utter_sky_{season(self.clock().date())}")
        return []


class MoonPhase(DeskAction):
    def name(self) -> str:
        return "action_moon_phase"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> Events:
        phase, percent, full = moon_facts(self.clock())
        dispatcher.utter_message(response=f"utter_moon_{phase}", percent=percent, full_date=full.isoformat())
        return []


class PlanetVisibility(DeskAction):
    def name(self) -> str:
        return "action_planet_visibility"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> Events:
        said = tracker.get_slot("planet")
        if not said:
            dispatcher.utter_message(response="utter_ask_planet")
            return []
        planet = ZH_PLANETS.get(said, said.lower())
        if planet not in ZH_PLANETS.values():
            dispatcher.utter_message(response="utter_planet_unknown", planet=said)
            return []
        response, degrees = planet_response(planet, self.clock())
        dispatcher.utter_message(response=response, planet=said.title(), elongation=degrees)
        if planet in FAINT_PLANETS and response != "utter_planet_hidden":
            dispatcher.utter_message(response="utter_planet_faint")
        return []


class NextEclipse(DeskAction):
    def name(self) -> str:
        return "action_next_eclipse"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> Events:
        today = self.clock().date().isoformat()
        solar, lunar = (next((d for d in table if d >= today), None) for table in (SOLAR_ECLIPSES, LUNAR_ECLIPSES))
        if solar is None or lunar is None:
            dispatcher.utter_message(response="utter_eclipse_unknown")
        else:
            dispatcher.utter_message(response="utter_next_eclipse", solar_date=solar, lunar_date=lunar)
        return []


class OpeningStatus(DeskAction):
    def name(self) -> str:
        return "action_opening_status"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> Events:
        now = self.clock()
        said = next(tracker.get_latest_entity_values("date"), None)
        day = resolve_date(said, now.date()) if said else None
        response, facts = status_now(now) if day in (None, now.date()) else status_on(day)
        dispatcher.utter_message(response=response, **facts)
        return []


def status_now(now: datetime) -> tuple[str, dict[str, str]]:
    """The response that tells whether the house is open at this moment, and its facts."""
    hours, clock = hours_on(now.date()), f"{now:%H:%M}"
    if hours and clock < hours[1]:
        response = "utter_open_now" if clock >= hours[0] else "utter_opens_later"
        return response, {"opens": hours[0], "closes": hours[1]}
    day, opens = next_open_day(now.date() + timedelta(days=1))
    return "utter_closed_now", {"date": f"{day}", "opens": opens}


def status_on(day: date) -> tuple[str, dict[str, str]]:
    """The response that tells whether the house is open on a day, and its facts."""
    if hours := hours_on(day):
        return "utter_day_open", {"date": f"{day}", "opens": hours[0], "closes": hours[1]}
    following, opens = next_open_day(day)
    return "utter_day_closed", {"date": f"{day}", "next_date": f"{following}", "opens": opens}


class ValidateBookingForm(FormValidationAction, DeskAction):  # type: ignore[misc]  # rasa-sdk is untyped
    """Checks each detail of a booking as it is given; one that cannot be is asked for again."""

    def name(self) -> str:
        return "validate_booking_form"

    def validate_visit_date(
        self, value: str, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain
    ) -> dict[str, str | None]:
        today = self.clock().date()
        day = resolve_date(str(value), today)
        if day is not None and day < today:
            dispatcher.utter_message(response="utter_date_past", date=f"{day}")
            return {"visit_date": None}
        return {"visit_date": self.open_day(str(value), dispatcher)}

    def validate_party_size(
        self, value: str, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain
    ) -> dict[str, str | None]:
        people = number_in(str(value))
        if people is not None and 1 <= people <= LARGEST_PARTY:
            return {"party_size": f"{people}"}
        large = people is not None and people > LARGEST_PARTY
        response = "utter_party_too_large" if large else "utter_party_unclear"
        dispatcher.utter_message(response=response, most=LARGEST_PARTY)
        return {"party_size": None}

    def validate_email(
        self, value: str, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain
    ) -> dict[str, str | None]:
        if re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", str(value)):
            return {"email": value}
        dispatcher.utter_message(response="utter_email_unclear")
        return {"email": None}


class StopBooking(DeskAction):
    def name(self) -> str:
        return "action_stop_booking"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> Events:
        dispatcher.utter_message(response="utter_booking_stopped")
        return [SlotSet("visit_date", None), SlotSet("party_size", None)]


class SubmitBooking(DeskAction):
    def name(self) -> str:
        return "action_submit_booking"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> Events:
        said, people, email = (tracker.get_slot(slot) for slot in ("visit_date", "party_size", "email"))
        if not (said and people and email):
            dispatcher.utter_message(response="utter_booking_incomplete")
            return []
        day = self.open_day(said, dispatcher)
        if day is None:
            return [SlotSet("visit_date", None), FollowupAction("booking_form")]
        made = tracker.get_slot("bookings") or {}
        code = new_code(tracker.sender_id, {**sample_bookings(self.clock().date()), **made})
        booking = {"date": day, "people": str(people)}
        dispatcher.utter_message(response="utter_booking_confirmed", code=code, email=email, **booking)
        return remember(made, code, booking)


class BookingAction(DeskAction, ABC):
    """An action on the booking whose code is known, or that asks for the code."""

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Domain) -> Events:
        said = tracker.get_slot("booking_code")
        if not said:
            dispatcher.utter_message(response="utter_ask_booking_code")
            return []
        code = booking_code(said)
        made = tracker.get_slot("bookings") or {}
        booking = {**sample_bookings(self.clock().date()), **made}.get(code)
        if booking is None:
            dispatcher.utter_message(response="utter_booking_unknown", code=code)
            return [SlotSet("booking_code", None)]
        if booking.get("status") == "cancelled":
            dispatcher.utter_message(response="utter_booking_status_cancelled", code=code)
            return []
        return self.act(dispatcher, tracker, code, booking)

    @abstractmethod
    def act(self, dispatcher: CollectingDispatcher, tracker: Tracker, code: str, booking: Booking) -> Events: ...


class CheckBooking(BookingAction):
    def name(self) -> str:
        return "action_check_booking"

    def act(self, dispatcher: CollectingDispatcher, tracker: Tracker, code: str, booking: Booking) -> Events:
        dispatcher.utter_message(response="utter_booking_status", code=code, **booking)
        return []


class ChangeBooking(BookingAction):
    def name(self) -> str:
        return "action_change_booking"

    def act(self, dispatcher: CollectingDispatcher, tracker: Tracker, code: str, booking: Booking) -> Events:
        said, people = tracker.get_slot("visit_date"), tracker.get_slot("party_size")
        if not (said or people):
            dispatcher.utter_message(response="utter_ask_new_date", code=code)
            return []
        day = self.open_day(said or booking["date"], dispatcher)
        if day is None:
            return [SlotSet("visit_date", None)]
        changed = {"date": day, "people": str(people or booking["people"])}
        dispatcher.utter_message(response="utter_booking_changed", code=code, **changed)
        return remember(tracker.get_slot("bookings") or {}, code, changed)


class CancelBooking(BookingAction):
    def name(self) -> str:
        return "action_cancel_booking"

    def act(self, dispatcher: CollectingDispatcher, tracker: Tracker, code: str, booking: Booking) -> Events:
        dispatcher.utter_message(response="utter_booking_cancelled", code=code)
        return remember(tracker.get_slot("bookings") or {}, code, {**booking, "status": "cancelled"})


def remember(made: Mapping[str, Booking], code: str, booking: Booking) -> Events:
    """The events that keep a booking in the conversation and forget its details, so that the next one asks anew."""
    slots = {"booking_code": code, "bookings": {**made, code: booking}, "visit_date": None, "party_size": None}
    return [SlotSet(name, value) for name, value in slots.items()]
