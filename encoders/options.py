"""Types of an encoder's options that have a least value. `catalog.check_options` holds bot.yml against them."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, MultipleOf

Positive = Annotated[int, Ge(1)]
NotNegative = Annotated[int, Ge(0)]
Even = Annotated[int, Ge(2), MultipleOf(2)]
Rate = Annotated[float, Gt(0)]
