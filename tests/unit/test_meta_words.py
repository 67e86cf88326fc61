"""What the report of a meta-analysis says: read as a reader does, from draws that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from poolmap.config.load import parse_analysis
from poolmap.contracts import EVERY_MODEL, Equation, ReportTable
from poolmap.families.meta.ingest import ingest
from poolmap.families.meta.methods import describe, findings, methods
from poolmap.families.meta.model_kinds import kinds
from poolmap.families.meta.numbers import probability, two_sides
from poolmap.report.equations import mathml
from tests.unit.meta_draws import SHAPE, analysed, words

TRIALS = """trial,e1,n1,e2,n2,t1,t2,latitude,allocation,rob,rho
A,4,123,11,139,100,120,44,random,Low,0.5
B,0,116,3,117,300,301,13,random,high,0.5
C,12,300,29,303,200,205,55,alternate,Some concerns,0.5
D,15,300,27,303,210,210,33,alternate,,0.5
E,9,200,12,203,150,160,20,random,low,0.5
F,9,200,12,203,150,160,20,other,low,0.5
"""
COUNTS = {"events_1": "e1", "total_1": "n1", "events_2": "e2", "total_2": "n2"}
TIMES = {"events_1": "e1", "time_1": "t1", "events_2": "e2", "time_2": "t2"}
MU = {"mu_prior": {"normal": [0, 2]}, "tau_prior": {"half_normal": 1}}
BETA = {"beta_prior": {"normal": [0, 1]}}


def section(tmp_path, rows=TRIALS, **more):
    path = tmp_path / "trials.csv"
    path.write_text(rows, encoding="utf-8")
    view = {
        "family": "meta",
        "data": str(path),
        "study": "trial",
        "measure": "OR",
        "columns": COUNTS,
        "arms": ["Drug", "Placebo"],
        "interval": 0.95,
        "moderators": ["latitude", "allocation"],
        "models": {"main": {}},
    }
    return parse_analysis(view | more)


def several(tmp_path, **more):
    """Two effects of each of the first two studies."""
    rows = "trial,effect,yi,se,rho\n" + "\n".join(
        f"{study},{effect},{yi},0.2,{rho}"
        for study, effect, yi, rho in (
            ("A", "one", -0.5, 0.4), ("A", "two", -0.3, 0.4), ("B", "one", -0.1, 0.6),
            ("B", "two", 0.2, 0.6), ("C", "one", -0.7, 0.9), ("D", "one", -0.2, 0.9),
        )
    )  # fmt: skip
    view = {"effect_id": "effect", "measure": "GEN", "columns": {"estimate": "yi", "se": "se"}}
    return section(tmp_path, rows, **({**view, "moderators": [], "models": {"main": MU}} | more))


def tables(blocks):
    return [block for block in blocks if isinstance(block, ReportTable)]


def the_table(blocks, caption):
    (found,) = [table for table in tables(blocks) if table.caption.startswith(caption)]
    return found


def test_describe_tells_choices_moderators_and_judgements(tmp_path):
    spec = section(tmp_path, exclude={"allocation": ["other"]}, risk_of_bias={"Overall": "rob"})
    text = words(describe(spec, ingest(spec)))
    assert "5 studies are analysed, from 6 rows" in text
    assert "Left out by choice: 1 row (F: allocation is other)." in text
    assert "latitude (a number, from 13 to 55); allocation (a category: alternate 2, random 3)" in text
    assert "Overall: 2 low, 1 some concerns, 1 high and 1 not judged." in text
    table = the_table(describe(spec, ingest(spec)), "The studies as reported").frame
    assert table.columns.tolist().count("latitude") == 1
    assert table["Risk of bias: Overall"].tolist() == ["low", "high", "some concerns", "not judged", "low"]
    assert "rob" not in table
    assert "tau" not in text  # no warning with five studies


def test_few_studies_are_told_that_tau_rests_on_its_prior(tmp_path):
    rows = "\n".join(TRIALS.splitlines()[:4]) + "\n"
    text = words(describe(section(tmp_path, rows), ingest(section(tmp_path, rows))))
    assert "Only 3 studies: they say little about tau" in text
    assert "prediction interval wider still" in text
    assert "Friede et al. 2017" in text
    common = section(tmp_path, rows, models={"main": {"effects": "common"}})
    assert "tau" not in words(describe(common, ingest(common)))


def test_several_effects_a_study(tmp_path):
    spec = several(tmp_path)
    text = words(describe(spec, ingest(spec)))
    assert "4 studies with 6 effects are analysed, from 6 rows" in text
    assert the_table(describe(spec, ingest(spec)), "The studies").frame["Which effect"].tolist()[:2] == [
        "one",
        "two",
    ]
    data, results = analysed(spec)
    blocks = findings(spec, data, results)
    pooled = results["main"].estimates["pooled"].set_index("quantity")
    within = pooled.loc["i2_within"]
    assert blocks[0].startswith("The pooled effect over 4 studies with 6 effects is ")
    assert "within studies with a standard deviation tau_within of " in blocks[1]
    assert f"{within['median']:.0f}% (95% interval {within['lower']:.0f}%" in blocks[1]
    table = the_table(blocks, "Each effect alone")
    assert table.frame[["Study", "Which effect"]].agg(" ".join, axis=1).tolist()[:3] == [
        "A one",
        "A two",
        "B one",
    ]
    assert not {"Weight", "Shrinkage B"} & set(table.frame)


@pytest.mark.parametrize(
    ("more", "said", "unsaid"),
    [
        ({}, "independent: where its effects come from the same people", "covariance"),
        (
            {"models": {"main": MU | {"correlation": 0.5}}},
            "assumed to have the correlation 0.5",
            "the file says",
        ),
        # of studies with one effect only, whose correlation is never used, nothing is said
        (
            {"columns": {"estimate": "yi", "se": "se", "correlation": "rho"}},
            "as the file says (column rho: 0.4 to 0.6)",
            "assumed",
        ),
    ],
)
def test_the_correlation_of_sampling_errors(tmp_path, more, said, unsaid):
    spec = several(tmp_path, **more)
    text = words(methods(spec, "main", ingest(spec)))
    assert said in text
    assert unsaid not in text
    assert "three-level" in text
    assert "variance tau^2 + tau_within^2" in text


def test_two_levels(tmp_path):
    spec = several(tmp_path, models={"main": MU | {"levels": 2}})
    text = words(methods(spec, "main", ingest(spec)))
    assert "those of one study do not differ" in text
    assert "tau_within" not in text
    assert "three-level" not in text


LIKELIHOODS = [
    ("OR", COUNTS, {"likelihood": "binomial"}, ["binomial", "logit", "within studies only", "log odds"]),
    (
        "OR",
        COUNTS,
        {"likelihood": "binomial", "baseline": "random"},
        ["mean m and standard deviation sigma", "comparing arms of different studies"],
    ),
    ("RR", COUNTS, {"likelihood": "binomial"}, ["Risks stay below 1", "has its prior truncated"]),
    (
        "RR",
        COUNTS,
        {"likelihood": "binomial", "baseline": "random"},
        ["has the normal distribution truncated"],
    ),
    ("IRR", TIMES, {"likelihood": "poisson"}, ["Poisson", "person-time", "Arms without events need no"]),
    (
        "PLO",
        {"events": "e1", "total": "n1"},
        {"likelihood": "binomial"} | MU,
        ["logit of their risk is theta"],
    ),
    ("IRLN", {"events": "e1", "time": "t1"}, {"likelihood": "poisson"} | MU, ["log of the rate is theta"]),
    ("OR", COUNTS, {"likelihood": "beta_binomial"}, ["Kuss 2015", "intraclass correlation rho", "no tau"]),
    (
        "PLO",
        {"events": "e1", "total": "n1"},
        {"likelihood": "beta_binomial", "mu_prior": {"normal": [0, 2]}},
        ["Kuss 2015", "events of study i are binomial"],
    ),
    ("OR", COUNTS, {"effects": "student_t", "df": 3}, ["Student-t distribution with 3 degrees of freedom"]),
    ("OR", COUNTS, {"effects": "common"}, ["common-effect model", "neither a tau nor a prediction interval"]),
]


@pytest.mark.parametrize(("measure", "columns", "model", "parts"), LIKELIHOODS)
def test_methods_of_each_likelihood_and_distribution(tmp_path, measure, columns, model, parts):
    spec = section(tmp_path, measure=measure, columns=columns, models={"main": model})
    data, results = analysed(spec)
    blocks = methods(spec, "main", data)
    text = words(blocks)
    for part in parts:
        assert part in text
    has = set(results["main"].estimates["pooled"]["quantity"])
    assert ("The prediction interval is" in text) == any(name.endswith("_new") for name in has)
    assert ("I-squared is" in text) == ("i2" in has)
    assert ("weight" in text) == ("weight" in results["main"].estimates["studies"])
    assert "The model was fitted by Hamiltonian Monte Carlo in Stan" in text
    for block in blocks:
        if isinstance(block, Equation):
            assert "<math" in mathml(block)
    assert "nan" not in words(findings(spec, data, results)).replace("Finance", "")


def test_student_t_without_a_variance_has_no_i_squared(tmp_path):
    spec = section(tmp_path, models={"main": {"effects": "student_t", "df": 2}})
    data, results = analysed(spec)
    assert "I-squared" not in words(methods(spec, "main", data))
    assert "no standard deviation" in words(methods(spec, "main", data))
    assert "I-squared" not in words(findings(spec, data, results))


def test_models_side_by_side_with_what_each_has(tmp_path):
    models = {
        "main": {},
        "common": {"effects": "common"},
        "alone": {"effects": "independent"},
        "bb": {"likelihood": "beta_binomial"},
    }
    spec = section(tmp_path, models=models)
    data, results = analysed(spec)
    blocks = findings(spec, data, results)
    table = the_table(blocks, "Pooled results of all models")
    assert list(table.frame) == ["Quantity", "main", "common", "bb"]
    assert table.model == EVERY_MODEL
    rows = table.frame.set_index("Quantity")
    assert rows.loc["tau", "common"] == rows.loc["I-squared", "bb"] == "–"
    assert rows.loc["Intraclass correlation", "main"] == "–"
    assert rows.loc["Odds ratio in a new study (prediction)", "common"] == "–"
    assert "Left out, since nothing is pooled: alone." in table.caption
    text = words(blocks)
    assert "Model alone pools nothing" in text
    assert text.count("with the prior of its effect, unrelated to the others") == 1
    of_alone = next(t for t in tables(blocks) if t.model == "alone")
    assert list(of_alone.frame) == ["Study", "Own OR", "OR with its prior"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"effects": "common"}, "takes the odds ratio to be the same in all studies: it has neither a tau"),
        ({"likelihood": "beta_binomial"}, "Risks vary between arms with the intraclass correlation 0.0"),
        ({"subgroups": "allocation", "subgroup_tau": "own"}, "Each subgroup has its own tau"),
    ],
)
def test_heterogeneity_sentence_without_tau(tmp_path, model, said):
    spec = section(tmp_path, TRIALS.replace("other", "random"), models={"main": model})
    blocks = findings(spec, *analysed(spec))
    text = blocks[2 if "subgroups" in model else 1]  # the subgroups come first
    assert said in text
    assert ("prediction interval)" in text) == (model.get("effects") != "common")


def test_meta_regression(tmp_path):
    model = {"formula": "latitude"} | BETA
    spec = section(tmp_path, models={"main": model})
    beta = np.stack(np.broadcast_arrays(-0.4, np.linspace(-0.05, 0.01, 1000).reshape(SHAPE)), axis=2)
    data, results = analysed(spec, beta=beta)
    text = words(methods(spec, "main", data))
    assert "random-effects meta-regression" in text
    assert "The formula latitude gives the term latitude. It is centred on its mean" in text
    assert "R-squared is the share of the variance between studies" in text
    blocks = findings(spec, data, results)
    table = the_table(blocks, "Meta-regression latitude").frame
    assert table["Term"].tolist() == ["latitude"]
    # uniform from -0.05 to 0.01: median -0.02, 95% from -0.0485 to 0.0085, five sixths below 0
    assert table["Change of the log odds ratio"][0] == "-0.020 (-0.049 to 0.009)"
    assert table["Factor of the odds ratio"][0] == "0.980 (0.953 to 1.009)"
    assert table["P(change < 0)"][0] == "0.83"
    assert "at their average, is" in blocks[0]
    r2 = results["main"].estimates["pooled"].set_index("quantity").loc["r2", "median"]
    assert f"The regression explains {r2:.0f}% (" in blocks[1]
    plain = section(tmp_path, models={"main": model | {"centre": False}})
    assert "not centred" in words(methods(plain, "main", ingest(plain)))


def test_subgroups_and_the_probability_of_a_difference(tmp_path):
    spec = section(tmp_path, exclude={"allocation": ["other"]}, models={"main": {"subgroups": "allocation"}})
    # log OR 0 of random, uniform on -0.3..0.7 of alternate: P(higher) = 0.7, median ratio exp(0.2) = 1.22
    beta = np.stack(np.broadcast_arrays(0.0, np.linspace(-0.3, 0.7, 1000).reshape(SHAPE)), axis=2)
    data, results = analysed(spec, beta=beta)
    text = words(methods(spec, "main", data))
    assert "Each subgroup of allocation (random and alternate) has a pooled effect of its own" in text
    assert "they share one tau" in text
    assert "not by whether one interval holds no effect" in text
    blocks = findings(spec, data, results)
    assert "By allocation, the pooled odds ratio is: random 1.00" in words(blocks)
    assert "The posterior probability that it is higher in alternate than in random is 0.70." in words(blocks)
    table = the_table(blocks, "Differences between the subgroups").frame
    assert table.iloc[0].tolist()[:2] == ["alternate", "random"]
    assert table["Ratio of the ORs"][0].startswith("1.22 (")
    assert table["P(lower)"][0] == "0.30"
    assert the_table(blocks, "Pooled odds ratio by allocation").frame["Studies"].tolist() == ["3", "2"]


def test_thresholds(tmp_path):
    spec = section(tmp_path, thresholds=[0.8, 1.25], models={"main": {}, "common": {"effects": "common"}})
    data, results = analysed(spec)
    table = results["main"].estimates["thresholds"].set_index(["effect", "threshold"])
    low, new = table.loc[("pooled", "0.8")], table.loc[("new", "0.8")]
    assert 0.01 < new["p_below"] < 0.99
    blocks = findings(spec, data, results)
    (said,) = [b for b in blocks if isinstance(b, str) and "below 0.8" in b]
    assert f"that the pooled odds ratio lies below 0.8 is {probability(low['p_below'])} (above it" in said
    assert f"that the odds ratio in a new study lies below 0.8 is {new['p_below']:.2f} (above it" in said
    frame = the_table(blocks, "Posterior probability that the odds ratio lies").frame
    assert frame["Model"].tolist() == ["main", "main", "common"]
    assert frame["Effect"].tolist() == ["pooled", "in a new study", "pooled"]
    assert frame["P(<\xa00.8)"][1] == f"{new['p_below']:.2f}"
    assert set(frame) == {"Model", "Effect"} | {f"P({s}\xa0{t})" for s in "<>" for t in ("0.8", "1.25")}


@pytest.mark.parametrize(
    ("below", "printed"),
    [
        (0.9975, ("0.998", "0.002")),  # each rounded for itself: 0.998 and 0.003
        (0.125, ("0.12", "0.88")),
        (0.505, ("0.51", "0.49")),  # 0.51 and 0.50
        (0.9997, (">0.999", "<0.001")),
        (0.0, ("<0.001", ">0.999")),
        (0.5, ("0.50", "0.50")),
        (0.0099, ("0.010", "0.990")),
    ],
)
def test_two_sides_add_to_one_as_printed(below, printed):
    assert two_sides(below, 1 - below) == printed


def test_two_sides_add_to_one_for_any_number_of_draws():
    for draws in (2800, 4000, 6001):
        for hits in range(draws + 1):
            sides = two_sides(hits / draws, 1 - hits / draws)
            if not sides[0].startswith(("<", ">")):
                assert float(sides[0]) + float(sides[1]) == pytest.approx(1, abs=1e-12)
                assert abs(float(sides[0]) - hits / draws) <= 0.005 + 1e-12


def test_two_sides_with_mass_on_the_value_itself():
    assert two_sides(0.3, 0.3) == ("0.30", "0.30")


def test_tau_of_student_t_is_told_as_a_standard_deviation(tmp_path):
    """Student-t with 4 degrees of freedom and scale tau: standard deviation tau sqrt(4 / 2)."""
    models = {"robust": {"effects": "student_t", "df": 4}, "main": {}}
    spec = section(tmp_path, models=models)
    data, results = analysed(spec)
    blocks = findings(spec, data, results)
    rows = {m: r.estimates["pooled"].set_index("quantity").loc["tau"] for m, r in results.items()}
    table = the_table(blocks, "Pooled results")
    shown = table.frame.set_index("Quantity").loc["SD between studies"]
    assert "tau" not in table.frame["Quantity"].tolist()
    for model, factor in (("robust", 2**0.5), ("main", 1)):
        ends = [f"{factor * rows[model][c]:.3f}" for c in ("median", "lower", "upper")]
        assert shown[model] == f"{ends[0]} ({ends[1]} to {ends[2]})"
    assert "model robust has Student-t effects with 4 degrees of freedom" in table.caption
    assert "the standard deviation is 1.41 times tau" in table.caption
    median = rows["robust"]["median"]
    assert f"with a standard deviation of {2**0.5 * median:.3f} (95% interval" in blocks[1]
    assert f"Student-t distribution with 4 degrees of freedom and scale tau {median:.3f} (" in blocks[1]
    none = section(tmp_path, models={"robust": {"effects": "student_t", "df": 2}})
    data, results = analysed(none)
    blocks = findings(none, data, results)
    assert (
        the_table(blocks, "Pooled results").frame.set_index("Quantity").at["SD between studies", "robust"]
        == "–"
    )
    assert "which has no standard deviation" in blocks[1]


@pytest.mark.parametrize(("effects", "warned"), [("normal", True), ("common", False)])
def test_few_studies_are_warned_of_beside_the_number(tmp_path, effects, warned):
    rows = "\n".join(TRIALS.splitlines()[:3]) + "\n"
    spec = section(tmp_path, rows, moderators=[], models={"main": {"effects": effects}})
    blocks = findings(spec, *analysed(spec))
    said = "With 2 studies only, tau is known more from its prior (tau ~ half-normal(0.5)) than from the data"
    assert (said in blocks[2]) == warned
    assert (said in words(blocks)) == warned


def test_models_are_told_apart(tmp_path):
    models = {
        "main": {},
        "wide": {"tau_prior": {"half_cauchy": 1}},
        "reg": {"formula": "latitude"} | BETA,
        "sub": {"subgroups": "allocation"},
        "robust": {"effects": "student_t", "df": 5},
        "counts": {"likelihood": "binomial", "baseline": "random"},
    }
    spec = section(tmp_path, models=models)
    told = kinds(spec)
    assert told == {
        "main": "random effects, normal likelihood, tau ~ half-normal(0.5)",
        "wide": "random effects, normal likelihood, tau ~ half-Cauchy(1)",
        "reg": "random effects, normal likelihood, regression on latitude",
        "sub": "random effects, normal likelihood, subgroups by allocation",
        "robust": "random effects (Student-t, 5 degrees of freedom), normal likelihood",
        "counts": "random effects, exact binomial likelihood with random baselines",
    }
    table = the_table(findings(spec, *analysed(spec)), "Pooled results of all models")
    assert table.frame["Model"].tolist() == list(models)
    assert table.frame["What it is"].tolist() == list(told.values())


def test_every_number_names_its_model_and_file(tmp_path):
    spec = section(tmp_path, thresholds=[0.8], baseline_risks=[0.1], models={"main": {}, "other": {}})
    blocks = findings(spec, *analysed(spec))
    assert (
        f"results of the primary model, main (random effects, normal likelihood), from {spec.data}"
        in words(blocks)
    )
    for table in tables(blocks):
        assert "estimates/" in table.caption
        assert "model" in table.caption.lower()


def test_an_effect_of_a_study_is_not_called_as_the_effect_size(tmp_path):
    spec = several(tmp_path)
    for block in [*describe(spec, ingest(spec)), *findings(spec, *analysed(spec))]:
        if isinstance(block, ReportTable):
            assert "Effect" not in block.frame.columns
    named = several(tmp_path, effect="hazard ratio", estimate_scale="log_ratio")
    table = the_table(findings(named, *analysed(named)), "Each effect alone").frame
    assert list(table)[2:] == ["Own hazard ratio", "Hazard ratio given all studies"]


@pytest.mark.parametrize(
    ("low", "high", "needed"),
    [
        # risk difference uniform: median and 2.5 % from either end; NNT = 1 / that, rounded up
        (-0.06, -0.02, "25 for one event fewer (17 to 48)"),
        (-0.06, 0.02, "50 for one event fewer (18 for one event fewer to infinity to 56 for one event more)"),
        (-0.02, 0.06, "50 for one event more (18 for one event more to infinity to 56 for one event fewer)"),
        (0.02, 0.06, "25 for one event more (17 to 48)"),
    ],
)
def test_number_needed_to_treat(tmp_path, low, high, needed):
    spec = section(
        tmp_path,
        measure="RD",
        baseline_risks=[0.1],
        models={"main": {}},
    )
    beta = np.linspace(low, high, 1000).reshape(*SHAPE, 1)
    blocks = findings(spec, *analysed(spec, beta=beta))
    frame = the_table(blocks, "Events per 1,000 people").frame
    assert frame["Number needed to treat"][0] == needed
    assert frame["Placebo: events"][0] == "100"
    middle = 1000 * (low + high) / 2
    assert frame["Difference"][0].startswith(f"{middle:.0f} (")
    assert frame["Drug: events"][0].startswith(f"{100 + middle:.0f} (")


@pytest.mark.parametrize(
    ("prior", "median", "most"),
    [
        ({"uniform": [0, 2]}, "1", "1.9"),
        # tau^2 ~ log-normal(-2.56, 1.74): median of tau exp(-1.28), 95% below exp(-1.28 + 0.87 x 1.645)
        ({"lognormal_tau2": [-2.56, 1.74]}, "0.28", "1.2"),
        ({"half_cauchy": 0.5}, "0.5", "6.4"),
    ],
)
def test_what_a_prior_of_tau_implies(tmp_path, prior, median, most):
    spec = section(tmp_path, models={"main": {"tau_prior": prior}})
    text = words(methods(spec, "main", ingest(spec)))
    assert f"(half its mass below {median}, 95% below {most})" in text
