"""The page about one measurement."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dialogue.report import charts, page
from dialogue.report.charts import percent, share_of
from dialogue.report.confusions import Confusion, confusions, matrix, mistaken
from dialogue.report.findings import Findings
from dialogue.report.intervals import calibrated_ece
from dialogue.report.measures import MEASURES, Estimate, estimate
from dialogue.report.outcomes import Bools, Floats, Outcomes
from dialogue.report.svg import Plot

PAIRS, INTENTS = 12, 10  # pairs that are opened up, intents in the matrix
LISTED = 16
STEPS = (0.5, 0.8, 0.9, 0.95)


def single_page(found: Findings, plots: dict[str, Plot]) -> str:
    """The page. `plots` are those of `plots_of`."""
    inside, outside = int(found.outcomes.known.sum()), int((~found.outcomes.known).sum())
    told = f"Trained on {found.examples:,} examples of {found.numbers['classes']} intents, "
    told += f"asked {inside:,} messages in scope and {f'{outside:,}' if outside else 'none'} out of scope."
    sections = (
        confused(found.outcomes, plots),
        reliable(found, plots),
        *([reliable_everywhere(found.outcomes, plots)] if outside else []),
        sure(found.outcomes, plots),
        covered(found.outcomes, plots),
        *([taken(found.outcomes)] if outside else []),
        contributed(found, plots),
        *([learned(found, plots)] if found.curve else []),
        doubted(found),
        trained(found, plots),
        answered(found, plots),
        about(),
    )
    return page.document(f"{found.name}: what it understands", told, tiles(found), sections)


def plots_of(found: Findings) -> dict[str, Plot]:
    """All charts of the page by name."""
    outcomes, inside = found.outcomes, found.outcomes.known
    plots = {
        "reliability": charts.reliability("Reliability, in scope", outcomes.sure[inside], outcomes.right[inside]),
        "confidence": charts.histograms(outcomes),
        "risk-coverage": charts.risk_coverage({"": outcomes}, found.numbers["threshold"]),
        "encoders": charts.encoders(found.contributions),
        "training": charts.costs("Training", "s", found.training),
        "answering": charts.costs("A message", "ms", found.answering),
    }
    if not inside.all():
        plots["reliability-all"] = charts.reliability("Reliability, all messages", outcomes.confidence, outcomes.right)
    if pairs := confusions(outcomes):
        plots["confusion"] = charts.matrix(*matrix(outcomes, pairs, INTENTS))
    if found.curve:
        plots["learning-curve"] = charts.learning(found.curve)
    return plots


def tiles(found: Findings) -> Iterator[str]:
    """The numbers that matter."""
    outcomes, numbers = found.outcomes, found.numbers
    hits, inside = int(outcomes.right[outcomes.known].sum()), int(outcomes.known.sum())
    yield page.tile(
        "Right, in scope", percent(hits / inside, 1), f"{hits:,} of {inside:,}, {share_of(hits, inside)[1]}"
    )
    low, high = calibrated_ece(outcomes.sure[outcomes.known])
    yield page.tile("Calibration error", f"{numbers['ece']:.3f}", f"perfect would show {low:.3f} to {high:.3f}")
    if inside < len(outcomes.truth):
        auroc = estimate(outcomes, MEASURES["oos_auroc"])
        yield page.tile("Out of scope, AUROC", f"{auroc.value:.3f}", f"[{auroc.lower:.3f}, {auroc.upper:.3f}]")
    share, error = numbers["coverage_at_2pct_error"], numbers["error_at_that_coverage"]
    note = "nothing is sure enough"
    if error is not None:
        answered = round(share * inside)
        wrong = round(error * answered)
        note = f"{wrong} of {answered:,} wrong, {share_of(wrong, answered)[1]}"
    yield page.tile("Answered, aiming at 2 % wrong", percent(share), note)
    median, most = (f"{numbers[f'ms_per_message_{name}']:.1f} ms" for name in ("p50", "p95"))
    yield page.tile("A message", median, f"95 % of them within {most}")
    yield page.tile(
        "Training", f"{numbers['train_cpu_seconds']:.0f} s", f"of CPU; {numbers['peak_mb']:,.0f} MB at most"
    )


def confused(outcomes: Outcomes, plots: dict[str, Plot]) -> str:
    """Confusions, the worst first."""
    pairs = confusions(outcomes)
    if not pairs:
        return page.section("What is taken for what", "No message in scope was taken for another intent.")
    names, counts, _ = matrix(outcomes, pairs, INTENTS)
    rows = [[name, *map(str, row)] for name, row in zip(names, counts, strict=True)]
    caption = "The intents of the worst pairs; a darker cell holds more of its row's messages."
    shown = page.figure(plots["confusion"], caption, ["meant", *names], rows)
    listed = "".join(pair(outcomes, one, opened=one is pairs[0]) for one in pairs[:PAIRS])
    rest = [[f"{one.truth} taken for {one.guess}", f"{len(one.rows)} of {one.of}"] for one in pairs[PAIRS:]]
    more = page.details(f"{len(rest)} more pairs", page.table(["pair", "messages"], rest, "More pairs")) if rest else ""
    told = (
        "The pairs with the most messages gone wrong come first. Open one for what was said and how sure the bot was."
    )
    return page.section("What is taken for what", told, page.columns(shown, page.pairs(listed) + more))


def pair(outcomes: Outcomes, one: Confusion, *, opened: bool) -> str:
    """A pair with its messages."""
    said = page.sentences((outcomes.texts[row], sureness(outcomes, row), "") for row in one.rows)
    share, interval = share_of(len(one.rows), one.of)
    told = page.remark(f"{share} of {one.truth} {interval}")
    return page.pair(one.truth, one.guess, len(one.rows), one.of, told + said, opened=opened)


def sureness(outcomes: Outcomes, row: int) -> str:
    """How sure it was of a message, with the credible interval."""
    p, low, high = outcomes.confidence[row], outcomes.lower[row], outcomes.upper[row]
    return f"{p:.2f} [{low:.2f}, {high:.2f}], none of these {outcomes.none[row]:.2f}"


def reliable(found: Findings, plots: dict[str, Plot]) -> str:
    """Whether the probabilities are true."""
    outcomes, inside, error = found.outcomes, found.outcomes.known, found.numbers["ece"]
    low, high = calibrated_ece(outcomes.sure[inside])
    verdict = "more than chance explains" if error > high else "no more than chance explains"
    caption = (
        f"In scope, given that it is one of the intents. The calibration error is {error:.3f}; perfect probabilities "
    )
    caption += f"would show {low:.3f} to {high:.3f} on so many messages, so it is {verdict}."
    told = "Of the messages it is 80 % sure of, 80 % should be right: then the points lie on the line."
    shown = diagram(plots["reliability"], caption, outcomes.sure[inside], outcomes.right[inside])
    return page.section("Are its numbers true?", told, shown, half=True)


def reliable_everywhere(outcomes: Outcomes, plots: dict[str, Plot]) -> str:
    """The same for all messages."""
    caption = (
        "All messages, with the probability the bot shows. Of one out of scope no intent is right but out_of_scope."
    )
    shown = diagram(plots["reliability-all"], caption, outcomes.confidence, outcomes.right)
    return page.section(
        "And with what is out of scope?", "What users meet: in and out of scope mixed.", shown, half=True
    )


def diagram(plot: Plot, caption: str, confidence: Floats, right: Bools) -> str:
    """A reliability diagram with its numbers."""
    rows = [
        [percent(sure, 1), str(hits), str(n), *share_of(hits, n)] for sure, hits, n in charts.bins_of(confidence, right)
    ]
    return page.figure(plot, caption, ["how sure", "right", "of", "share", "interval"], rows)


def sure(outcomes: Outcomes, plots: dict[str, Plot]) -> str:
    """How sure it is of right, wrong and out-of-scope messages."""
    rows = [
        [name, str(chosen.sum()), *(str((outcomes.confidence[chosen] >= step).sum()) for step in STEPS)]
        for _, name, chosen in charts.groups(outcomes)
    ]
    heads = ["messages", "all", *(f"≥ {percent(step)}" for step in STEPS)]
    told = "What is right belongs to the right; what is wrong or out of scope to the left."
    shown = page.figure(plots["confidence"], "Each row has its own height.", heads, rows)
    return page.section("How sure it is", told, shown, half=True)


def covered(outcomes: Outcomes, plots: dict[str, Plot]) -> str:
    """How much could be answered, and how much of that would be wrong."""
    n, errors = charts.risks(outcomes)
    places = np.unique(np.searchsorted(n, n[-1] * np.arange(1, 11) / 10).clip(max=len(n) - 1))
    rows = [[percent(n[i] / n[-1]), str(n[i]), str(errors[i]), *share_of(int(errors[i]), int(n[i]))] for i in places]
    caption = (
        "The circle is the threshold found on the examples left out; the band is what chance allows at each place."
    )
    shown = page.figure(plots["risk-coverage"], caption, ["answered", "messages", "wrong", "share", "interval"], rows)
    told = "If only the surest messages were answered: how many of the answers would be wrong."
    return page.section("What asking back saves", told, shown, half=True)


def taken(outcomes: Outcomes) -> str:
    """What is out of scope and would have been answered."""
    rows, recognised = mistaken(outcomes), int((~outcomes.known & outcomes.right).sum())
    told = f"The surest of {len(rows)}."
    if recognised:
        told += f" {recognised} more were taken for the intent out_of_scope, which is right."
    said = [(outcomes.texts[row], f"{outcomes.guess[row]} {sureness(outcomes, row)}", "") for row in rows]
    return page.section("Out of scope, taken for an intent", told, page.listed(said, LISTED))


def doubted(found: Findings) -> str:
    """Labels to look at."""
    parts = []
    if found.suspects:
        parts.append(page.heading(f"Perhaps mislabelled: {len(found.suspects)} of {found.examples:,}"))
        parts.append(
            page.remark("Some are mistakes, some the hard cases that teach most. The most doubtful come first.")
        )
        said = [
            (one.example.text, f"{one.example.intent} {one.label:.2f}, but {one.other} {one.preferred:.2f}", where)
            for one in found.suspects
            for where in [str(one.example.where)]
        ]
        parts.append(page.listed(said, LISTED))
    if found.twins:
        parts.append(page.heading(f"Nearly the same under two intents: {len(found.twins)} pairs"))
        said = [
            (f"{a.text} / {b.text}", f"{a.intent} / {b.intent}, {one.alike:.2f} alike", f"{a.where}, {b.where}")
            for one in found.twins
            for a, b in [(one.first, one.second)]
        ]
        parts.append(page.listed(said, LISTED))
    if found.repeated:
        same = f"{found.repeated} examples say again, but for case and punctuation, what another of their intent says."
        parts.append(page.remark(same))
    if found.seen:
        parts.append(page.remark(f"{found.seen} of the messages asked stand among the examples: to know them is easy."))
    told = "Each example left out, and judged by all the others." if parts else "The examples agree with each other."
    return page.section("Labels to look at", told, *parts)


def contributed(found: Findings, plots: dict[str, Plot]) -> str:
    """What encoders contribute."""
    rows = [
        [one.name, f"{one.weight:.3f}", percent(one.share, 1), spelled(one.loss), turned(one.turn)]
        for one in found.contributions
    ]
    caption = (
        "Loss: how much less probable the examples' own labels become, left out, when a view is taken away and the "
        "others get its weight; left of zero the bot would do better without. The fusion reads every encoder, so what "
        "it has from one is not lost with that one's own view; its turn is 1 less the cosine of what it makes of a "
        "message with that encoder and without."
    )
    shown = page.figure(
        plots["encoders"], caption, ["view", "weight", "share", "loss without, nats", "turns the fusion by"], rows
    )
    told = "Whose evidence the answers to these messages rest on, and who would be missed."
    return page.section("What each encoder contributes", told, shown, half=True)


def spelled(loss: Estimate | None) -> str:
    """A loss with its interval."""
    return "-" if loss is None else f"{loss.value:.4f} [{loss.lower:.4f}, {loss.upper:.4f}]"


def turned(turn: float | None) -> str:
    """A turn of the fused feature."""
    return "-" if turn is None else f"{turn:.4f}"


def learned(found: Findings, plots: dict[str, Plot]) -> str:
    """The learning curve."""
    rows = [[f"{one.examples:,}", str(one.right), str(one.of), *share_of(one.right, one.of)] for one in found.curve]
    caption = "Each size is one draw of the examples; another draw would bend the curve beyond what the bars show."
    shown = page.figure(plots["learning-curve"], caption, ["examples", "right", "of", "share", "interval"], rows)
    return page.section("Would more examples help?", "Where it still climbs at its end, they would.", shown, half=True)


def trained(found: Findings, plots: dict[str, Plot]) -> str:
    """What training cost."""
    numbers = found.numbers
    rows = [[name, f"{value:.2f}"] for name, value in found.training.items()]
    caption = f"{numbers['train_wall_seconds']:.1f} s by the clock, {numbers['train_cpu_seconds']:.1f} s of CPU."
    shown = page.figure(plots["training"], caption, ["stage", "seconds"], rows)
    return page.section("What training costs", "Stage by stage, on the machine that made this page.", shown, half=True)


def answered(found: Findings, plots: dict[str, Plot]) -> str:
    """What a message costs."""
    rows = [[name, f"{value:.2f}"] for name, value in found.answering.items()]
    caption = f"One message at a time, medians; all stages together {found.numbers['ms_per_message_p50']:.1f} ms."
    shown = page.figure(plots["answering"], caption, ["stage", "milliseconds"], rows)
    return page.section("What a message costs", "Stage by stage, on the same machine.", shown, half=True)


def about() -> str:
    """What the numbers are, and what they are not."""
    return page.section(
        "About these numbers",
        "",
        page.remark(
            "Intervals are at 95 %: of shares by Wilson's score, of everything else by 1,000 bootstrap resamples of "
            "the messages, those in and those out of scope apart. They tell how far another sample of messages would "
            "stray. That another training would give another model is not in them. The interval beside a single "
            "message is the bot's own credible interval."
        ),
        page.remark("Each interval stands for itself: where many are looked at together, some miss."),
    )
