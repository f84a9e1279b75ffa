"""The items of `pipeline:` and `policies:`: a name with options beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from dialogue.errors import Where, suggestion
from dialogue.rasa.found import Row
from dialogue.training.nodes import Listing, Node, Report, Scalar, describe, is_empty, read_entries, read_text


@dataclass(frozen=True, slots=True)
class Part:
    """A component or policy as written. `options` are nodes, so that their places go with them."""

    name: str
    where: Where
    options: Mapping[str, Node]

    def given(self, *names: str) -> dict[str, Node]:
        """Those of the options that are written and not null."""
        return {name: self.options[name] for name in names if name in self.options and not is_empty(self.options[name])}

    def others(self, *known: str) -> list[str]:
        """Names of the options that are written beside the known ones."""
        return [name for name in self.options if name not in known]


def read_parts(section: Node, what: str, known: Collection[str], report: Report) -> Iterator[Part]:
    """Every item: a mapping with `name`, or a bare name. `rasa.some.module.Name` is `Name`, if that is `known`.

    A template of Rasa 1, which is a single text, is an error, as it is in Rasa 3.
    """
    if isinstance(section, Scalar) and not is_empty(section):
        message = f"{what}: expected a list, got {describe(section)}; templates went with Rasa 1, list the parts"
        report.error(section.where, message)
        return
    if not isinstance(section, Listing):
        read_entries(section, what, report)
        if not is_empty(section):
            report.error(section.where, f"{what}: expected a list, got {describe(section)}")
        return
    for item in section.items:
        written = (
            {key: entry.value for key, entry in read_entries(item, f"an item of {what}", report).items()}
            if not isinstance(item, Scalar)
            else {"name": item}
        )
        if "name" not in written:
            report.error(item.where, f"an item of {what}: the key name is missing")
            continue
        name = read_text(written.pop("name"), f"name of an item of {what}", report)
        if name is not None:
            short = name.rpartition(".")[2]
            yield Part(short if name.startswith("rasa.") and short in known else name, item.where, written)


def unknown(part: Part, what: str, known: Collection[str]) -> Row:
    """The row of a part that is none of Rasa's own: a class of the project, of another package, or misspelt."""
    if "." in part.name:
        remark = f"a {what} of your own is passed over: its class is Rasa's; one of starfold's is named in bot.yml"
        return Row(part.where, part.name, "", remark, True)
    return Row(part.where, part.name, "", f"unknown {what}, passed over{suggestion(part.name, known, at_most=0)}", True)
