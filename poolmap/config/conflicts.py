"""Keys of the config that do not go together: collected, and told all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_core import PydanticCustomError


@dataclass(frozen=True)
class Conflict:
    """One thing that does not fit the rest of its section.

    Attributes:
        at: the key at fault, dotted, from the section on.
        what: what is wrong.
        remedy: what to do, where `what` does not say it.
    """

    at: str
    what: str
    remedy: str = ""

    def below(self, place: str) -> Conflict:
        """The same seen from the section around."""
        return Conflict(f"{place}.{self.at}" if self.at else place, self.what, self.remedy)


def tell(conflicts: Sequence[Conflict]) -> None:
    """Raise them in a validator of pydantic; `poolmap.config.complaints` takes them apart again.

    Raises:
        PydanticCustomError: where there is at least one.
    """
    if conflicts:
        text = "; ".join(f"{c.at}: {c.what}" for c in conflicts)
        raise PydanticCustomError("conflicts", "{text}", {"text": text, "conflicts": tuple(conflicts)})
