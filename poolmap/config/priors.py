"""Priors written by name in the config, and the numbers that the Stan programs take for them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from poolmap.config.empirical_priors import EMPIRICAL, category, nearest_first, parameters, words

FEWEST_LOG_T_DF = 3
ANY_SIGN = ("location", "meanlog", "lower", "upper")


class Prior:
    """A prior written by name: `{normal: [location, scale]}`, `{half_cauchy: scale}`.

    `CODES` gives each family's code in `stan/functions/priors.stanfunctions` and its parameters. A
    half-family is its parent with location 0 on a parameter with lower bound 0. The `_tau2` families are
    densities of tau through the distribution of log tau^2. The empirical ones (`turner_2015`, `rhodes_2015`)
    are such families with the published parameters of a setting. `pc` is the penalised-complexity prior
    (Simpson et al. 2017, Statistical Science 32:1-28): of a scale with P(x > bound) = probability, an
    exponential; of a share of variance with P(x < bound) = probability, which depends on the graph.

    Attributes:
        family: the name in the config.
        parameters: the numbers, in the order of `CODES`.
        setting: of an empirical prior: the categories that it stands for, by key; else empty.
    """

    CODES: ClassVar[dict[str, tuple[int, tuple[str, ...]]]] = {
        "normal": (1, ("location", "scale")),
        "student_t": (2, ("df", "location", "scale")),
        "cauchy": (3, ("location", "scale")),
        "half_normal": (1, ("scale",)),
        "half_student_t": (2, ("df", "scale")),
        "half_cauchy": (3, ("scale",)),
        "exponential": (4, ("rate",)),
        "beta": (5, ("a", "b")),
        "uniform": (6, ("lower", "upper")),
        "lognormal_tau2": (7, ("meanlog", "sdlog")),
        "log_student_t_tau2": (8, ("df", "location", "scale")),
        "turner_2015": (7, ("meanlog", "sdlog")),
        "rhodes_2015": (8, ("df", "location", "scale")),
        "pc": (9, ("bound", "probability")),
        "logistic": (10, ("location", "scale")),
    }
    ALLOWED: ClassVar[tuple[str, ...]] = ("normal", "student_t", "cauchy", "uniform")
    LOWEST: ClassVar[float] = -math.inf
    """The lower bound of the parameter that such a prior is for."""

    def __init__(
        self, family: str, parameters: tuple[float, ...], setting: Mapping[str, str] | None = None
    ) -> None:
        if (family in EMPIRICAL) != bool(setting):
            raise ValueError(f"a prior {family} {'needs' if family in EMPIRICAL else 'has no'} setting")
        self.family = family
        self.parameters = parameters
        self.setting = dict(setting or {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prior) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((self.family, self.parameters, tuple(self.setting.items())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def __str__(self) -> str:
        return self.words()

    def words(self, symbol: str = "tau") -> str:
        """As the report writes it, for a parameter with this symbol: `log-normal(-2.56, 1.74) on tau^2`."""
        numbers = ", ".join(f"{p:g}" for p in self.parameters)
        code = self.CODES[self.family][0]
        if self.family == "pc":
            sign = ">" if self.LOWEST == 0.0 else "<"
            return f"penalised complexity, P({symbol} {sign} {numbers.replace(', ', ') = ')}"
        if code not in (7, 8):
            return f"{self.family.replace('_', '-')}({numbers})"
        text = f"{'log-normal' if code == 7 else 'log-Student-t'}({numbers}) on {symbol}^2"
        return f"{text} ({words(self.family, self.setting)})" if self.setting else text

    @property
    def measures(self) -> tuple[str, ...] | None:
        """The effect measures that an empirical prior is for; None where it is for any."""
        return EMPIRICAL[self.family].measures if self.setting else None

    def as_dict(self) -> dict[str, Any]:
        """The prior as it is written in the config."""
        if self.setting:
            return {self.family: dict(self.setting)}
        values = list(self.parameters)
        return {self.family: values[0] if len(values) == 1 else values}

    def stan_data(self, name: str) -> dict[str, Any]:
        """The two data entries `<name>_prior_family` and `<name>_prior` (3 numbers) of a Stan program.

        The numbers are (location, scale, df) for the location-scale families and the log-Student-t, else the
        parameters in their order, filled up with 0.
        """
        code, names = self.CODES[self.family]
        given = dict(zip(names, self.parameters, strict=True))
        if self.family == "pc" and self.LOWEST == 0.0:
            rate = -math.log(given["probability"]) / given["bound"]
            return {f"{name}_prior_family": self.CODES["exponential"][0], f"{name}_prior": [rate, 0.0, 0.0]}
        if "scale" in given:
            numbers = [given.get("location", 0.0), given["scale"], given.get("df", 0.0)]
        else:
            numbers = [*self.parameters, 0.0, 0.0][:3]
        return {f"{name}_prior_family": code, f"{name}_prior": numbers}

    @classmethod
    def parse(cls, value: Any) -> Prior:
        """Read a prior from the config, with a message that says what can be written.

        Raises:
            PydanticCustomError: unknown family, a wrong number or range of parameters, an unknown setting.
        """
        if isinstance(value, Prior):
            return value
        example = ", ".join(f"{{{n}: {_example(n)}}}" for n in cls.ALLOWED)
        if not isinstance(value, dict) or len(value) != 1:
            raise PydanticCustomError("prior", "a prior is written as one of {example}", {"example": example})
        family, given = next(iter(value.items()))
        if family not in cls.ALLOWED:
            raise PydanticCustomError(
                "prior_family",
                "'{family}' is not a prior for this parameter; {near}write one of {example}",
                {"family": str(family), "near": _near(str(family), cls.ALLOWED), "example": example},
            )
        if family in EMPIRICAL:
            setting = _setting(family, given)
            return cls(family, parameters(family, setting), setting)
        return cls(family, cls._numbers(family, given))

    @classmethod
    def _numbers(cls, family: str, given: Any) -> tuple[float, ...]:
        names = cls.CODES[family][1]
        values = given if isinstance(given, list | tuple) else [given]
        numbers = all(
            isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
        )
        if len(values) != len(names) or not numbers:
            raise PydanticCustomError(
                "prior_parameters",
                "{family} takes {count} ({names}): write {example}",
                {
                    "family": family,
                    "count": "1 number" if len(names) == 1 else f"{len(names)} numbers",
                    "names": ", ".join(names),
                    "example": f"{{{family}: {_example(family)}}}",
                },
            )
        for parameter, number in zip(names, values, strict=True):
            if parameter not in ANY_SIGN and number <= 0:
                raise PydanticCustomError(
                    "prior_range",
                    "the {parameter} of a {family} prior is above 0",
                    {"parameter": parameter, "family": family},
                )
        if family == "pc" and values[1] >= 1:
            raise PydanticCustomError("prior_range", "the probability of a pc prior is below 1")
        if family == "log_student_t_tau2" and values[0] < FEWEST_LOG_T_DF:
            raise PydanticCustomError(
                "prior_range",
                "the df of a log_student_t_tau2 prior is 3 or more: with fewer, tau spreads over more orders "
                "of magnitude than can be computed with",
            )
        if family == "uniform":
            if values[0] >= values[1]:
                raise PydanticCustomError(
                    "prior_range", "the lower end of a uniform prior is below the upper one"
                )
            if values[0] < cls.LOWEST:
                raise PydanticCustomError(
                    "prior_range", "the lower end of a uniform prior of a standard deviation is 0 or above"
                )
        return tuple(float(v) for v in values)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda prior: prior.as_dict()),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {name: _shape(name)},
                    "required": [name],
                    "additionalProperties": False,
                }
                for name in cls.ALLOWED
            ]
        }


class PositivePrior(Prior):
    """A prior of a scale parameter (a standard deviation)."""

    ALLOWED = (
        "half_normal",
        "half_student_t",
        "half_cauchy",
        "exponential",
        "uniform",
        "lognormal_tau2",
        "log_student_t_tau2",
    )
    LOWEST = 0.0


class TauPrior(PositivePrior):
    """A prior of the standard deviation between studies: the empirical ones too."""

    ALLOWED = (*PositivePrior.ALLOWED, *EMPIRICAL)


class UnboundedPrior(Prior):
    """A prior without bounds, for programs that declare the parameter without."""

    ALLOWED = ("normal", "student_t", "cauchy")


class LogitPrior(UnboundedPrior):
    """A prior of a logit: the logistic distribution, uniform on the share where it is (0, 1), too."""

    ALLOWED = (*UnboundedPrior.ALLOWED, "logistic")


class HalfPrior(PositivePrior):
    """A prior of a scale parameter whose only bound is 0 and that has mass there."""

    ALLOWED = ("half_normal", "half_student_t", "half_cauchy", "exponential", "pc")


class UnitPrior(Prior):
    """A prior of a parameter between 0 and 1."""

    ALLOWED = ("beta",)


class ShareOrPCPrior(UnitPrior):
    """The same with the penalised-complexity prior of the share of variance that is structured."""

    ALLOWED = ("beta", "pc")


def _setting(family: str, given: Any) -> dict[str, str]:
    """The categories of an empirical prior by name, from what the config states."""
    keys = EMPIRICAL[family].keys
    if not isinstance(given, dict) or set(given) != set(keys):
        raise PydanticCustomError(
            "prior_setting",
            "{family} takes {keys}: write {example}",
            {
                "family": family,
                "keys": " and ".join((", ".join(list(keys)[:-1]), list(keys)[-1])),
                "example": f"{{{family}: {_example(family)}}}",
            },
        )
    found = {key: category(family, key, str(given[key])) for key in keys}
    wrong = [
        f"'{given[key]}' is not one of its categories of {key}: did you mean {nearest[0]}? The others are "
        + ", ".join(nearest[1:])
        for key in keys
        if found[key] is None
        for nearest in [nearest_first(family, key, str(given[key]))]
    ]
    if wrong:
        raise PydanticCustomError(
            "prior_setting", "{family}: {wrong}", {"family": family, "wrong": "; ".join(wrong)}
        )
    return {key: str(name) for key, name in found.items()}


def _near(family: str, allowed: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(family.lower(), allowed, n=1, cutoff=0.7)
    return f"did you mean {{{near[0]}: {_example(near[0])}}}? Or " if near else ""


def _example(family: str) -> str:
    if family in EMPIRICAL:
        return (
            "{"
            + ", ".join(f"{key}: {next(iter(names))}" for key, names in EMPIRICAL[family].keys.items())
            + "}"
        )
    names = Prior.CODES[family][1]
    return names[0] if len(names) == 1 else "[" + ", ".join(names) + "]"


def _shape(family: str) -> dict[str, Any]:
    """JSON Schema of what stands after the name of a prior."""
    if family in EMPIRICAL:
        keys = EMPIRICAL[family].keys
        return {
            "type": "object",
            "description": f"the setting of the published distribution ({EMPIRICAL[family].source})",
            "properties": {
                key: {"type": "string", "description": f"one of {', '.join(names)}", "examples": list(names)}
                for key, names in keys.items()
            },
            "required": list(keys),
            "additionalProperties": False,
        }
    names = Prior.CODES[family][1]
    number: dict[str, Any] = {"type": "number"}
    shape = number
    if len(names) > 1:
        shape = {"type": "array", "items": number, "minItems": len(names), "maxItems": len(names)}
    return {**shape, "description": ", ".join(names)}
