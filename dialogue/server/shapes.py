"""The bodies of the API, as OpenAPI shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _storable(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("half of a surrogate pair is no text")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00]+$"), AfterValidator(_storable)]


class Body(BaseModel):
    """A body that comes in: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


class SessionRequest(Body):
    """Who the visitor is."""

    token: str | None = Field(default=None, description="An old token to renew, or one the web page signed.")


class SessionShown(BaseModel):
    """A visitor's session."""

    conversation: str
    token: str
    expires: float = Field(description="Seconds since 1970.")


class MessageRequest(Body):
    """A message of the user."""

    text: Text = Field(description="What the user wrote; empty, or /intent for a button.")
    id: Name | None = Field(default=None, description="The client's own; sent again it gets the same answer.")
    metadata: dict[str, Any] = Field(default={}, description="Anything; `title` is what a pressed button said.")


class DecisionShown(BaseModel):
    """What the bot decided, and why."""

    kind: str
    action: str | None
    confidence: float | None = Field(description="A probability, or null where nobody decided.")
    policy: str | None
    reason: str | None
    passed: list[list[str]] = Field(default=[], description="Policies that passed, with their reasons.")
    candidates: list[str] = []


class CandidateShown(BaseModel):
    """An intent with its posterior mean and credible interval."""

    name: str
    mean: float
    lower: float
    upper: float


class BeliefShown(BaseModel):
    """What a message was taken for. Entropy and mutual information are in nats."""

    intents: list[CandidateShown]
    unknown: float = Field(description="Probability that it was none of the intents.")
    entropy: float
    mutual_information: float
    contributions: dict[str, float] = {}


class Answer(BaseModel):
    """The answer to a message."""

    message_id: str
    replies: list[dict[str, Any]] = Field(description="text, buttons, image, attachment, custom: what there is.")
    decision: DecisionShown | None = Field(description="For developers.")
    belief: BeliefShown | None = Field(description="For developers.")
    repeated: bool = Field(description="Whether the message had been answered before.")


class ConversationShown(BaseModel):
    """A conversation that went on lately."""

    conversation: str
    last: int = Field(description="Number of its last event.")
    updated: float = Field(description="When that was, in seconds since 1970.")


class Items(BaseModel):
    """What was said on both sides."""

    items: list[dict[str, Any]]
    last: int = Field(description="Number of the last event: the next `after`.")


class Events(BaseModel):
    """Events in their wire form."""

    events: list[dict[str, Any]]
    last: int


class Turns(BaseModel):
    """Turns with belief, decision, events and milliseconds."""

    turns: list[dict[str, Any]]
    slots: dict[str, Any] = Field(description="As they are now.")


class FeedbackRequest(Body):
    """What the user thought of an answer."""

    message_id: Name
    rating: Literal["up", "down"]
    comment: Annotated[Text, Field(max_length=2000)] | None = None


class ParseRequest(Body):
    """A text to read."""

    text: Text


class TeachRequest(Body):
    """One more example."""

    text: Text
    intent: Name


class ModelRequest(Body):
    """Which version of the model is to answer."""

    version: Name | None = Field(default=None, description="Name of a version; null for the newest.")


class ModelShown(BaseModel):
    """The version of the model that answers."""

    version: str
    before: str | None = Field(description="The one that answered before it.")
    name: str
    language: str
    facts: dict[str, Any]
    intents: list[str]


class Problem(BaseModel):
    """Why a request was not served."""

    error: str
    retry: bool = Field(description="Whether to try again, after Retry-After seconds.")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": why}
    for status, why in {
        400: "it cannot be read",
        401: "no valid token",
        403: "not allowed",
        404: "there is no such thing",
        409: "the model cannot be used",
        413: "the body is too large",
        422: "not as expected",
        429: "too many requests",
        503: "try again",
        504: "the turn takes long; the same message sent again gets its answer",
    }.items()
}
