"""How near county estimates come to the truth: `make calibrate`, repeated samples of the California schools.

From the 6,194 schools of resources/california_schools/population.csv samples are drawn again and again, as
the three samples of R's survey package were: 200 schools stratified by type (apistrat), all schools of 15
districts (apiclus1), and up to 5 schools of each of 40 districts (apiclus2). To each the model is fitted as a
user would fit it, with a varying intercept of the district where districts were sampled, and the shares of
schools with an award in the 57 counties are compared with those of the population.

Rows of every county and sample are kept in results/calibration, from where a run that was interrupted is
taken up; summaries go to docs/calibration.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from poolmap.config.base import Sampling  # noqa: E402
from poolmap.config.mrp import MrpAnalysis  # noqa: E402
from poolmap.families.mrp.accuracy import HOLDING, KINDS, accuracy, calibration  # noqa: E402
from poolmap.families.mrp.estimate import estimate  # noqa: E402
from poolmap.families.mrp.ingest import ingest  # noqa: E402
from poolmap.families.mrp.model import stan_data  # noqa: E402
from poolmap.inference.fit import brief  # noqa: E402
from poolmap.inference.summary import summarise  # noqa: E402
from poolmap.stan.compile import compile_program  # noqa: E402
from poolmap.stan.sample import sample  # noqa: E402

SCHOOLS = ROOT / "resources/california_schools"
STRATA = {"elementary": 100, "middle": 50, "high": 50}
DESIGNS = {
    "stratified": "200 schools, stratified by type",
    "clusters": "all schools of 15 of the 757 districts",
    "two_stages": "up to 5 schools of each of 40 of the 757 districts",
}
INTERVAL = 0.9
SIZES = [0, 10, 50, 200, np.inf]
KEPT = ["county", "n_survey", "n_census", "truth", *HOLDING.values()]
KEPT += dict.fromkeys(column for kind in KINDS.values() for column in kind[:3])


def population() -> pd.DataFrame:
    """The schools, with the mean of subsidised meals over the county's schools."""
    schools = pd.read_csv(SCHOOLS / "population.csv", dtype={"cds": str, "district": str})
    schools["meals_county"] = schools.groupby("county")["meals"].transform("mean") / 100
    return schools


def draw(design: str, schools: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One sample, with weights and the columns of the design."""
    if design == "stratified":
        parts = [
            schools[schools["school_type"] == kind].sample(n, random_state=rng) for kind, n in STRATA.items()
        ]
        size = schools["school_type"].value_counts()
        found = pd.concat(parts)
        found["strata_size"] = found["school_type"].map(size)
        return found.assign(weight=found["strata_size"] / found["school_type"].map(STRATA))
    size = schools["district"].value_counts()
    number = 15 if design == "clusters" else 40
    chosen = rng.choice(np.sort(size.index), number, replace=False)
    found = schools[schools["district"].isin(chosen)]
    if design == "two_stages":
        found = found.groupby("district", group_keys=False).sample(frac=1, random_state=rng)
        found = found.groupby("district").head(5)
    taken = found.groupby("district")["cds"].transform("size")
    schools_of = found["district"].map(size)
    return found.assign(
        districts=len(size), schools=schools_of, weight=len(size) / number * schools_of / taken
    )


def analysis(design: str, folder: Path) -> MrpAnalysis:
    """The config of one sample, which lies in the folder beside the census."""
    clustered = design != "stratified"
    within = {
        "stratified": {"strata": "school_type", "population_sizes": ["strata_size"]},
        "clusters": {"clusters": ["district"], "population_sizes": ["districts"]},
        "two_stages": {"clusters": ["district"], "population_sizes": ["districts", "schools"]},
    }[design]
    formula = "award ~ 1 + meals_county + (1 | county) + (1 | school_type) + (1 | county:school_type)"
    return MrpAnalysis(
        family="mrp",
        survey=str(folder / "survey.csv"),
        census=str(folder / "census.csv"),
        count="n",
        weight="weight",
        design=within,
        outcome={"column": "award", "positive": "Yes"},
        formula=formula + (" + (1 | district)" if clustered else ""),
        estimates=["county"],
        truth={"data": str(SCHOOLS / "truth.csv"), "value": "award"},
        interval=INTERVAL,
    )


def replicate(design: str, number: int, schools: pd.DataFrame, executable: Path) -> pd.DataFrame:
    """The counties' estimates from one sample, with the largest R-hat and the number of divergences."""
    rng = np.random.default_rng([20261121, list(DESIGNS).index(design), number])
    cells = ["county", "school_type", *(["district"] if design != "stratified" else []), "meals_county"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(design, schools, rng).to_csv(folder / "survey.csv", index=False)
        schools.groupby(cells).size().rename("n").reset_index().to_csv(folder / "census.csv", index=False)
        spec = analysis(design, folder)
        data = ingest(spec)
    survey = data.tables["survey"]
    given = stan_data(spec, "main", data)
    settings = Sampling(chains=2, warmup=300, draws=500)
    whitened = given.whitened is not None
    settings = brief(settings, given.whitened) if whitened else settings
    fit = sample(
        executable, given.data, given.parameters, settings, seed=number + 1, cores=2, whitened=whitened
    )
    quantities = estimate(spec, "main", data, fit.posterior, rng)
    tables = summarise([item for item in quantities if item.table in ("county", "parameters")], INTERVAL)
    found = (
        tables["county"]
        .reindex(columns=KEPT)
        .assign(
            replicate=number,
            respondents=len(survey),
            rhat=max(table["rhat"].max() for table in tables.values()),
            divergences=int(fit.sample_stats["diverging"].sum()),
        )
    )
    return found.round(5)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Errors and coverage over all samples, and the ratio of each sample's RMSE to the direct estimates'."""
    scores = pd.concat(
        [accuracy(part).assign(replicate=number) for number, part in rows.groupby("replicate")]
    )
    found = []
    for (kind, where), part in scores.groupby(["kind", "where"], sort=False):
        coverage = part["covered"] / part["intervals"]
        found.append(
            {
                "kind": kind,
                "where": where,
                "samples": len(part),
                "counties": part["groups"].mean(),
                "rmse": np.sqrt((part["rmse"] ** 2 * part["groups"]).sum() / part["groups"].sum()),
                "mae": (part["mae"] * part["groups"]).sum() / part["groups"].sum(),
                "width": (part["width"] * part["intervals"]).sum() / part["intervals"].sum(),
                "coverage": part["covered"].sum() / part["intervals"].sum(),
                "coverage_se": coverage.std() / np.sqrt(len(part)),
            }
        )
    return pd.DataFrame(found)


def by_size(rows: pd.DataFrame) -> pd.DataFrame:
    """Errors and coverage by the number of schools in the county."""
    labels = ["under 10", "10 to 49", "50 to 199", "200 or more"]
    size = pd.cut(rows["n_census"], SIZES, labels=labels, right=False)
    return pd.concat(
        [accuracy(part).assign(schools=label) for label, part in rows.groupby(size, observed=True)],
        ignore_index=True,
    )


def draw_figure(found: dict[str, pd.DataFrame], path: Path) -> None:
    """Share of true values within intervals of each level, and error of direct estimates and MrP."""
    import matplotlib

    from poolmap.figures.style import BLUE, GOLD, MUTED, RC, new_figure

    looks = {"weighted": (GOLD, "s", "--"), "model": (MUTED, "^", ":"), "predicted": (BLUE, "o", "-")}
    with matplotlib.rc_context(RC):
        figure = new_figure(9, 3.2)
        panels = figure.subplots(1, len(found) + 1)
        for axes, (design, rows) in zip(panels, found.items(), strict=False):
            table = calibration(rows, INTERVAL)
            axes.axline((0, 0), slope=1, color=MUTED, linewidth=0.6)
            for kind, (colour, marker, line) in looks.items():
                part = table[table["kind"] == kind]
                axes.plot(
                    part["level"],
                    part["coverage"],
                    color=colour,
                    marker=marker,
                    linestyle=line,
                    markersize=4,
                    label=KINDS[kind][3],
                )
            axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="level of the interval")
            axes.set_title(design.replace("_", " "))
        panels[0].set_ylabel("true values within")
        panels[0].legend(loc="upper left", fontsize=6)
        axes = panels[-1]
        for at, rows in enumerate(found.values()):
            table = summary(rows).set_index(["kind", "where"])["rmse"]
            for kind in ("weighted", "model"):
                colour, marker, _ = looks[kind]
                axes.plot(at, table[kind, "sampled"], marker=marker, color=colour, linestyle="none")
            axes.plot(
                at, table["model", "unsampled"], marker="^", color=MUTED, fillstyle="none", linestyle="none"
            )
        axes.set_xticks(range(len(found)), [name.replace("_", " ") for name in found], rotation=20)
        axes.set(ylabel="root mean squared error", ylim=(0, None), xlim=(-0.5, len(found) - 0.5))
        figure.savefig(path, dpi=130)


def main() -> None:
    """Run or take up the samples, then write the summaries and the figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("samples", type=int, nargs="?", default=200)
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS), choices=list(DESIGNS))
    arguments = parser.parse_args()
    kept, out = ROOT / "results/calibration", ROOT / "docs/calibration"
    kept.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    schools = population()
    program = analysis("stratified", Path()).program("main")
    executable = compile_program(ROOT / f"stan/{program}.stan", include_paths=[ROOT / "stan"]).executable
    paths = {design: kept / f"{design}.csv" for design in arguments.designs}
    found = {d: pd.read_csv(path) if path.exists() else pd.DataFrame() for d, path in paths.items()}
    for number in range(arguments.samples):
        for design, done in found.items():
            if len(done) and number in set(done["replicate"]):
                continue
            found[design] = pd.concat(
                [done, replicate(design, number, schools, executable)], ignore_index=True
            )
            found[design].to_csv(paths[design], index=False)
    for design, rows in found.items():
        print(f"\n{design}: {DESIGNS[design]}\n{summary(rows).round(3).to_string(index=False)}", flush=True)
    for name, of in (("summary", summary), ("by_size", by_size)):
        together = pd.concat([of(rows).assign(design=design) for design, rows in found.items()])
        together.set_index("design").reset_index().round(4).to_csv(
            out / f"california_{name}.csv", index=False
        )
    draw_figure(found, out / "california.png")


if __name__ == "__main__":
    main()
