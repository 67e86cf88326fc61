"""Design-based estimates against R's survey package: the California schools, NHANES and the election of 2004.

Reference: R survey 4.1-1 (Debian r-cran-survey), data(api), data(nhanes), data(election); svydesign and
svymean of `dstrat` (id = ~1, strata = ~stype, fpc), `dclus1` (id = ~dnum, fpc), `dclus2` (id = ~dnum + snum,
fpc = ~fpc1 + fpc2), `dsrs`; of `dclus1` also postStratify(~stype) and rake(~stype, ~sch.wide). Samples are
in mrp_samples.csv, their schools those of resources/california_schools/population.csv; mrp_nhanes.csv is
data(nhanes), mrp_election.csv the 40 counties of election_pps, drawn with probabilities proportional to votes
by Tillé's splitting method.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poolmap.families.mrp.calibration import calibrated_weights, residuals
from poolmap.families.mrp.direct import domain_ratio
from poolmap.families.mrp.raking import rake
from poolmap.families.mrp.survey_design import Design

HERE = Path(__file__).resolve().parent
POPULATION = HERE.parents[1] / "resources/california_schools/population.csv"
TYPES = {"elementary": 4421.0, "high": 755.0, "middle": 1018.0}
SCHOOL_WIDE = {"No": 1072.0, "Yes": 5122.0}
DESIGNS = {
    "apistrat": {"stratum": "school_type"},
    "apiclus1": {"cluster_0": "district"},
    "apiclus2": {"cluster_0": "district", "cluster_1": "cds"},
    "apisrs": {},
}


def sample(name: str) -> tuple[pd.DataFrame, Design]:
    schools = pd.read_csv(POPULATION, dtype={"cds": str})
    rows = pd.read_csv(HERE / "mrp_samples.csv", dtype={"cds": str}).query("sample == @name")
    frame = rows.rename(columns={"size_0": "population_size_0", "size_1": "population_size_1"})
    frame = frame.dropna(axis=1, how="all").merge(schools, on="cds", validate="1:1")
    for column, source in DESIGNS[name].items():
        frame[column] = frame[source]
    return frame, Design.of(frame)


def mean(frame, design, y, **calibrated):
    everyone = np.zeros(len(frame), dtype=int)
    found, se = domain_ratio(
        design, np.asarray(y, dtype=float), np.ones(len(frame)), everyone, 1, **calibrated
    )
    return found[0], se[0]


def total(design, y, weight=None, x=None):
    weight = design.weight if weight is None else weight
    score = y if x is None else residuals(y[:, None], x, design.weight)[:, 0]
    return weight @ y, np.sqrt(design.variance((weight * score)[:, None]))[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("apistrat", (662.2873632, 9.408940803)),
        ("apiclus1", (644.1693989, 23.54224069)),
        ("apiclus2", (670.8118081, 30.09902738)),
        ("apisrs", (656.585, 9.249722039)),
    ],
)
def test_mean_index(name, expected):
    frame, design = sample(name)
    assert mean(frame, design, frame["api00"]) == pytest.approx(expected, rel=2e-9)


def test_shares_and_totals():
    frame, design = sample("apistrat")
    shares = {"school_wide": (0.8279480114, 0.02434478011), "award": (0.6389360641, 0.034405918)}
    for name, expected in shares.items():
        assert mean(frame, design, frame[name] == "Yes") == pytest.approx(expected, rel=2e-8)
    enrolled = frame["enroll"].to_numpy(dtype=float)
    assert total(design, enrolled) == pytest.approx((3687177.532, 114641.7161), rel=1e-9)
    frame, design = sample("apiclus1")
    enrolled = frame["enroll"].to_numpy(dtype=float)
    assert total(design, enrolled) == pytest.approx((3404940.135, 932235.027), rel=1e-9)


def test_domains():
    frame, design = sample("apistrat")
    group = frame["school_type"].map({"elementary": 0, "high": 1, "middle": 2}).to_numpy()
    found = domain_ratio(design, frame["api00"].to_numpy(dtype=float), np.ones(len(frame)), group, 3)
    np.testing.assert_allclose(found[0], [674.43, 625.82, 636.6], rtol=1e-9)
    np.testing.assert_allclose(found[1], [12.38247979, 14.93712919, 16.21470731], rtol=1e-9)


def test_a_domain_across_strata_clusters_and_missing_values():
    """NHANES, domain estimate of those with a measurement; 8,591 persons in 31 units of 15 strata."""
    frame = pd.read_csv(HERE / "mrp_nhanes.csv").rename(columns={"psu": "cluster_0"})
    assert len(frame) == 8591
    group = np.where(frame["hi_chol"].notna(), 0, -1)
    found = domain_ratio(
        Design.of(frame), frame["hi_chol"].fillna(0).to_numpy(), np.ones(len(frame)), group, 1
    )
    assert (found[0][0], found[1][0]) == pytest.approx((0.1121429563, 0.005445839699), rel=1e-9)


def test_poststratified_mean_and_total():
    """One margin: raking, linear calibration (GREG) and poststratification are the same."""
    frame, design = sample("apiclus1")
    code = frame["school_type"].map({name: i for i, name in enumerate(TYPES)}).to_numpy()
    totals, x = np.array(list(TYPES.values())), np.eye(3)[code]
    weight = rake(design.weight, [code], [totals]).cells
    np.testing.assert_allclose(calibrated_weights(design.weight, x, totals), weight, rtol=1e-10)
    enrolled = frame["enroll"].to_numpy(dtype=float)
    assert total(design, enrolled, weight, x) == pytest.approx((3680892.945, 406292.6363), rel=1e-9)
    found = mean(frame, design, frame["api00"], weight=weight, x=x)
    assert found == pytest.approx((642.3107882, 23.92048645), rel=1e-9)


def test_raked_mean_and_total():
    """R's rake ends when no cell of the joint table moves by one school, here with margins met to 3e-4. Its
    standard errors take the residuals with the weights before the last steps, which are not those of the end:
    1.3e-5 and 1e-6 of the value. Converged, the margins are met and the estimates move by as little."""
    frame, design = sample("apiclus1")
    margins, totals, columns = [], [], []
    for name, known in (("school_type", TYPES), ("school_wide", SCHOOL_WIDE)):
        code = frame[name].map({level: i for i, level in enumerate(known)}).to_numpy()
        margins.append(code)
        totals.append(np.array(list(known.values())))
        columns.append(np.eye(len(known))[code])
    x, enrolled = np.hstack(columns), frame["enroll"].to_numpy(dtype=float)

    weight = rake(design.weight, margins, totals, tolerance=3e-4).cells
    assert (weight.min(), weight.max()) == pytest.approx((29.87046387, 67.12578263), rel=1e-9)
    value, se = total(design, enrolled, weight, x)
    assert value == pytest.approx(3647300.031, rel=1e-9)
    assert se == pytest.approx(400602.7197, rel=1.5e-5)
    value, se = mean(frame, design, frame["api00"], weight=weight, x=x)
    assert value == pytest.approx(641.2302469, rel=1e-9)
    assert se == pytest.approx(23.70364124, rel=1.5e-6)

    weight = rake(design.weight, margins, totals).cells
    np.testing.assert_allclose(weight @ x, np.concatenate(totals), rtol=1e-9)
    assert mean(frame, design, frame["api00"], weight=weight, x=x) == pytest.approx((value, se), rel=3e-6)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        ("bush", (64518472.38, 2447628.889)),
        ("kerry", (51202102.1, 2450786.539)),
        ("nader", (478530.5232, 102420.2435)),
    ],
)
def test_totals_of_unequal_probabilities_without_replacement(candidate, expected):
    """svydesign(id = ~1, fpc = ~p, data = election_pps, pps = "brewer"), also in the vignette `pps`."""
    frame = pd.read_csv(HERE / "mrp_election.csv")
    design = Design.of(frame.assign(weight=1 / frame["p"], inclusion_0=frame["p"]))
    found = total(design, frame[candidate].to_numpy(dtype=float))
    assert found == pytest.approx(expected, rel=1e-9)
    assert design.freedom(np.zeros(len(frame), dtype=int), 1) == [39]


def test_inclusion_probabilities_of_two_stages():
    """R's own check (tests/pps.R): 40 / fpc1 and min(1, 5 / fpc2) say the same as population sizes."""
    frame, by_size = sample("apiclus2")
    drawn = frame.groupby("district")["cds"].transform("size")
    probabilities = {
        "inclusion_0": frame["district"].nunique() / frame["population_size_0"],
        "inclusion_1": drawn / frame["population_size_1"],
    }
    sizes = ["population_size_0", "population_size_1"]
    design = Design.of(frame.drop(columns=sizes).assign(**probabilities))
    x = np.column_stack([np.ones(len(frame)), frame["api00"], frame["school_wide"] == "Yes"]).astype(float)
    weighted = design.weight[:, None] * x
    expected = by_size.covariance(weighted, weighted)
    np.testing.assert_allclose(design.covariance(weighted, weighted), expected, rtol=1e-9)
    assert mean(frame, design, frame["api00"]) == pytest.approx((670.8118081, 30.09902738), rel=2e-9)
