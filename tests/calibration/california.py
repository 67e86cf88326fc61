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
START, END = "<!-- results -->", "<!-- end of results -->"
SIZES = [0, 10, 50, 200, np.inf]
LABELS = ["under 10", "10 to 49", "50 to 199", "200 or more"]
WORDS = "Coverage of the intervals for the finite population, by the number of schools in the county:"
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
    of_model = scores[scores["kind"].isin(HOLDING)].assign(where="all")
    found = []
    for (kind, where), part in pd.concat([scores, of_model]).groupby(["kind", "where"], sort=False):
        of_sample = part.groupby("replicate")[["covered", "intervals"]].sum()
        coverage = of_sample["covered"] / of_sample["intervals"]
        found.append(
            {
                "kind": kind,
                "where": where,
                "samples": len(of_sample),
                "counties": part["groups"].sum() / len(of_sample),
                "rmse": np.sqrt((part["rmse"] ** 2 * part["groups"]).sum() / part["groups"].sum()),
                "mae": (part["mae"] * part["groups"]).sum() / part["groups"].sum(),
                "width": (part["width"] * part["intervals"]).sum() / part["intervals"].sum(),
                "coverage": part["covered"].sum() / part["intervals"].sum(),
                "coverage_se": coverage.std() / np.sqrt(len(of_sample)),
            }
        )
    return pd.DataFrame(found)


def by_size(rows: pd.DataFrame) -> pd.DataFrame:
    """Errors and coverage by the number of schools in the county."""
    size = pd.cut(rows["n_census"], SIZES, labels=LABELS, right=False)
    return pd.concat(
        [accuracy(part).assign(schools=label) for label, part in rows.groupby(size, observed=True)],
        ignore_index=True,
    )


def nearer(rows: pd.DataFrame) -> int:
    """In how many samples MrP has a smaller squared error than the weighted share where there is one."""
    sampled = rows.dropna(subset=["weighted"])
    squared = {kind: (sampled[kind] - sampled["truth"]) ** 2 for kind in ("mean", "weighted")}
    by_sample = pd.DataFrame(squared).groupby(sampled["replicate"]).mean()
    return int((by_sample["mean"] < by_sample["weighted"]).sum())


def write_page(found: dict[str, pd.DataFrame], page: Path) -> None:
    """Put the table of results between the marks of the page."""
    names = {"raw": "unweighted", "weighted": "weighted", "raked": "raked", "greg": "GREG"}
    names |= {"model": "MrP", "predicted": "MrP, finite population"}
    rows = ["| sample | counties | estimate | counties a sample | RMSE | MAE | mean width | coverage (SE) |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for design, of in found.items():
        for row in summary(of).to_dict("records"):
            where = {"sampled": "in the sample", "unsampled": "not in it", "all": "all"}[row["where"]]
            error = f"{row['rmse']:.3f} | {row['mae']:.3f} | {row['width']:.2f}"
            coverage = f"{100 * row['coverage']:.1f}% ({100 * row['coverage_se']:.1f})"
            rows.append(
                f"| {design.replace('_', ' ')} | {where} | {names[row['kind']]} | {row['counties']:.1f} | "
                f"{error} | {coverage} |"
            )
    sizes = ["| sample | " + " | ".join(LABELS) + " | all of 50 or more |", "|---|---|---|---|---|---|"]
    for design, of in found.items():
        table = by_size(of)
        table = (
            table[table["kind"] == "predicted"].groupby("schools", sort=False)[["covered", "intervals"]].sum()
        )
        table.loc["large"] = table.loc[LABELS[2:]].sum()
        share = 100 * table["covered"] / table["intervals"]
        cells = " | ".join(f"{share[label]:.1f}%" for label in [*LABELS, "large"])
        sizes.append(f"| {design.replace('_', ' ')} | {cells} |")
    samples = ", ".join(f"{of['replicate'].nunique()} {name.replace('_', ' ')}" for name, of in found.items())
    fits = pd.concat([of.groupby("replicate")[["rhat", "divergences"]].first() for of in found.values()])
    checks = (
        f"Largest R-hat of a county or parameter above 1.05 in {(fits['rhat'] > 1.05).sum()} of {len(fits)} "
        f"fits, divergent transitions in {(fits['divergences'] > 0).sum()}. Over the counties of the sample "
        f"MrP's root mean squared error is below the weighted in {sum(map(nearer, found.values()))} of "
        f"{len(fits)} samples."
    )
    text = page.read_text("utf-8")
    before, after = text.split(START)[0], text.split(END)[1]
    table = "\n".join([f"Samples: {samples}. {checks}", "", *rows, "", WORDS, "", *sizes])
    page.write_text(f"{before}{START}\n\n{table}\n\n{END}{after}", "utf-8")


def draw_figure(found: dict[str, pd.DataFrame], path: Path) -> None:
    """Share of true values within intervals of each level, and error of direct estimates and MrP."""
    import matplotlib

    from poolmap.figures.style import BLUE, GOLD, MUTED, RC, new_figure

    looks = {"weighted": (GOLD, "s", "none"), "model": (MUTED, "^", ":"), "predicted": (BLUE, "o", "-")}
    with matplotlib.rc_context(RC):
        figure = new_figure(9, 3.4)
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
                    markersize=6 if kind == "weighted" else 4,
                    zorder=3 if kind == "weighted" else 2,
                    label=KINDS[kind][3],
                )
            axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="level of the interval")
            axes.set_title(design.replace("_", " "))
        panels[0].set_ylabel("true values within")
        handles, labels = panels[0].get_legend_handles_labels()
        names = ["weighted share", "MrP, expected share", "MrP, share of the finite population"]
        assert len(labels) == len(names)
        figure.legend(handles, names, loc="outside lower center", ncols=3)
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
        axes.set(ylim=(0, 0.4), xlim=(-0.5, len(found) - 0.5), box_aspect=1)
        axes.set_title("root mean squared error")
        figure.savefig(path, dpi=130)


def main() -> None:
    """Run or take up the samples, then write the summaries and the figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("samples", type=int, nargs="?", default=200)
    parser.add_argument("--only-report", action="store_true", help="no new samples")
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
    for number in range(0 if arguments.only_report else arguments.samples):
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
    write_page(found, ROOT / "docs/calibration.md")


if __name__ == "__main__":
    main()
