"""What Prometheus is told."""

from __future__ import annotations

import os
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from dialogue.events import ActionExecuted
from dialogue.turn import REPEATED, TurnResult

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where several processes of one server count together; prometheus_client reads it
PROBABILITIES = tuple(i / 10 for i in range(1, 11))


class Metrics:
    """Counters of one process. The fallback rate is the share of decisions that are not `act`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        to = self.registry
        seconds = Histogram("starfold_turn_seconds", "Time of a turn.", ["channel"], registry=to, buckets=SECONDS)
        stages = Counter("starfold_stage_seconds", "Time spent in stages of turns.", ["stage"], registry=to)
        # There are few labels, and to look one up there takes longer than to count.
        self._seconds, self._stages = cache(seconds.labels), cache(stages.labels)
        self._top = Histogram("starfold_belief_top", "P(first intent).", registry=to, buckets=PROBABILITIES)
        self._unknown = Histogram("starfold_belief_unknown", "P(no intent).", registry=to, buckets=PROBABILITIES)
        decisions = Counter("starfold_decisions", "Turns by decision.", ["kind", "policy"], registry=to)
        self._decisions = cache(decisions.labels)
        self._failed = Counter("starfold_action_errors", "Actions that failed.", ["action"], registry=to)
        self._repeated = Counter("starfold_repeated", "Messages that had been answered before.", registry=to)
        self.sent = Counter("starfold_sent", "Replies to platforms.", ["channel", "outcome"], registry=to)
        self.waiting = Gauge(
            "starfold_turns_waiting", "Turns that run or wait.", registry=to, multiprocess_mode="livesum"
        )
        self.published = Counter("starfold_published", "Events a message broker has taken.", registry=to)
        self.outbox = Gauge(
            "starfold_outbox", "Events that are not published yet.", registry=to, multiprocess_mode="mostrecent"
        )
        self.mailbox = Gauge(
            "starfold_mailbox", "Messages of channels not answered yet.", registry=to, multiprocess_mode="mostrecent"
        )

    def turn(self, turn: TurnResult, seconds: float) -> None:
        """Count a turn, which took so long."""
        if turn.decision is REPEATED:
            self._repeated.inc()
            return
        self._seconds(turn.message.channel).observe(seconds)
        for stage, milliseconds in turn.milliseconds.items():
            self._stages(stage).inc(milliseconds / 1000)
        self._top.observe(turn.belief.top.mean if turn.belief.top else 0.0)
        self._unknown.observe(turn.belief.unknown)
        self._decisions(turn.decision.kind.value, turn.decision.policy).inc()
        for event in turn.events:
            if isinstance(event, ActionExecuted) and "error" in event.metadata:
                self._failed.labels(event.name or "").inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' text format: what all processes of the server counted."""
        if FOLDER not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def forget(pid: int | None) -> None:
    """Let the gauges of a process that ended go with it; what it counted stays counted."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
