"""How near county estimates come to the truth: `make calibrate`, repeated samples of the California schools.

From the 6,194 schools of resources/california_schools/population.csv samples are drawn again and again, as
the three samples of R's survey package were: 200 schools stratified by type (apistrat), all schools of 15
districts (apiclus1), and up to 5 schools of each of 40 districts (apiclus2). To each the model is fitted as a
user would fit it, with a varying intercept of the district where districts were sampled, and the shares of
schools with an award and the mean scores (API 2000) of the 57 counties are compared with those of the
population.

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
from poolmap.families.mrp.accuracy import KINDS, PLACE, accuracy, calibration, held, places  # noqa: E402
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
OUTCOMES = {
    "award": {"column": "award", "positive": "Yes"},
    "api00": {"column": "api00", "kind": "continuous"},
}
TITLES = {"award": "Share of schools with an award", "api00": "Mean score (API 2000, population 665)"}
INTERVAL = 0.9
START, END = "<!-- results -->", "<!-- end of results -->"
SIZES = [0, 10, 50, 200, np.inf]
LABELS = ["under 10", "10 to 49", "50 to 199", "200 or more"]
WORDS = "Coverage for the finite population (ends in part) by the county's number of schools:"
NAMES = {
    "raw": "unweighted",
    "weighted": "weighted",
    "raked": "raked",
    "greg": "GREG",
    "model": "MrP, expected",
    "predicted": "MrP, finite population",
}
WHERE = {"sampled": "in the sample", "unsampled": "not in it", "all": "all"}
KEPT = [
    "county",
    "n_survey",
    "n_census",
    "truth",
    *(name for pair in PLACE.values() for name in pair if name),
]
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


def analysis(outcome: str, design: str, folder: Path) -> MrpAnalysis:
    """The config of one sample, which lies in the folder beside census and truth."""
    clustered = design != "stratified"
    within = {
        "stratified": {"strata": "school_type", "population_sizes": ["strata_size"]},
        "clusters": {"clusters": ["district"], "population_sizes": ["districts"]},
        "two_stages": {"clusters": ["district"], "population_sizes": ["districts", "schools"]},
    }[design]
    formula = f"{outcome} ~ 1 + meals_county + (1 | county) + (1 | school_type) + (1 | county:school_type)"
    return MrpAnalysis(
        family="mrp",
        survey=str(folder / "survey.csv"),
        census=str(folder / "census.csv"),
        count="n",
        weight="weight",
        design=within,
        outcome=OUTCOMES[outcome],
        formula=formula + (" + (1 | district)" if clustered else ""),
        estimates=["county"],
        truth={"data": str(folder / "truth.csv"), "value": "value"},
        interval=INTERVAL,
    )


def replicate(
    outcome: str, design: str, number: int, schools: pd.DataFrame, executable: Path
) -> pd.DataFrame:
    """The counties' estimates from one sample, with the largest R-hat and the number of divergences."""
    rng = np.random.default_rng([20261121, list(DESIGNS).index(design), number])
    cells = ["county", "school_type", *(["district"] if design != "stratified" else []), "meals_county"]
    values = schools["award"].eq("Yes") if outcome == "award" else schools["api00"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(design, schools, rng).to_csv(folder / "survey.csv", index=False)
        schools.groupby(cells).size().rename("n").reset_index().to_csv(folder / "census.csv", index=False)
        values.groupby(schools["county"]).mean().rename("value").to_csv(folder / "truth.csv")
        spec = analysis(outcome, design, folder)
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
    """Errors and coverage over all samples, of each kind of estimate."""
    scores = pd.concat([_scores(part).assign(replicate=number) for number, part in rows.groupby("replicate")])
    of_model = scores[scores["kind"].isin(PLACE)].assign(where="all")
    found = []
    for (kind, where), part in pd.concat([scores, of_model]).groupby(["kind", "where"], sort=False):
        of_sample = part.groupby("replicate")[["covered", "at_level", "intervals"]].sum()
        coverage = of_sample.div(of_sample["intervals"], axis=0)
        total = of_sample.sum()
        found.append(
            {
                "kind": kind,
                "where": where,
                "samples": len(of_sample),
                "counties": part["groups"].sum() / len(of_sample),
                "rmse": np.sqrt((part["rmse"] ** 2 * part["groups"]).sum() / part["groups"].sum()),
                "mae": (part["mae"] * part["groups"]).sum() / part["groups"].sum(),
                "width": (part["width"] * part["intervals"]).sum() / part["intervals"].sum(),
                "coverage": total["covered"] / total["intervals"],
                "coverage_se": coverage["covered"].std() / np.sqrt(len(of_sample)),
                "at_level": total["at_level"] / total["intervals"],
                "at_level_se": coverage["at_level"].std() / np.sqrt(len(of_sample)),
            }
        )
    return pd.DataFrame(found)


def _scores(rows: pd.DataFrame) -> pd.DataFrame:
    """`accuracy`, and `at_level`: how many true values the model's intervals hold, their ends in part."""
    scores = accuracy(rows).assign(at_level=np.nan)
    for where, part in (("sampled", rows["raw"].notna()), ("unsampled", rows["raw"].isna())):
        for kind in PLACE:
            at_level = held(*places(rows[part], kind), INTERVAL).sum()
            scores.loc[(scores["kind"] == kind) & (scores["where"] == where), "at_level"] = at_level
    return scores


def by_size(rows: pd.DataFrame) -> pd.DataFrame:
    """Errors and coverage by the number of schools in the county."""
    size = pd.cut(rows["n_census"], SIZES, labels=LABELS, right=False)
    return pd.concat(
        [_scores(part).assign(schools=label) for label, part in rows.groupby(size, observed=True)],
        ignore_index=True,
    )


def nearer(rows: pd.DataFrame) -> int:
    """In how many samples MrP has a smaller squared error than the weighted share where there is one."""
    sampled = rows.dropna(subset=["weighted"])
    squared = {kind: (sampled[kind] - sampled["truth"]) ** 2 for kind in ("mean", "weighted")}
    by_sample = pd.DataFrame(squared).groupby(sampled["replicate"]).mean()
    return int((by_sample["mean"] < by_sample["weighted"]).sum())


def tables(outcome: str, found: dict[str, pd.DataFrame]) -> list[str]:
    """The lines of the page about one outcome; found: rows by design."""
    places = 3 if outcome == "award" else 1
    lines = [
        f"### {TITLES[outcome]}",
        "",
        "| sample | counties | estimate | counties a sample | RMSE | MAE | mean width | coverage (SE) "
        "| ends in part (SE) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for design, of in found.items():
        for row in summary(of).to_dict("records"):
            errors = " | ".join(f"{row[name]:.{places}f}" for name in ("rmse", "mae", "width"))
            covered = f"{100 * row['coverage']:.1f}% ({100 * row['coverage_se']:.1f})"
            exact = f"{100 * row['at_level']:.1f}% ({100 * row['at_level_se']:.1f})"
            lines.append(
                f"| {design.replace('_', ' ')} | {WHERE[row['where']]} | {NAMES[row['kind']]} "
                f"| {row['counties']:.1f} | {errors} | {covered} | {exact if row['kind'] in PLACE else ''} |"
            )
    lines += ["", WORDS, "", "| sample | " + " | ".join(LABELS) + " |", "|---|---|---|---|---|"]
    for design, of in found.items():
        table = by_size(of)
        table = table[table["kind"] == "predicted"].groupby("schools")[["at_level", "intervals"]].sum()
        share = 100 * table["at_level"] / table["intervals"]
        lines.append(
            f"| {design.replace('_', ' ')} | " + " | ".join(f"{share[label]:.1f}%" for label in LABELS) + " |"
        )
    return [*lines, ""]


def write_page(found: dict[tuple[str, str], pd.DataFrame], page: Path) -> None:
    """Put the tables of results between the marks of the page."""
    fits = pd.concat([of.groupby("replicate")[["rhat", "divergences"]].first() for of in found.values()])
    checks = (
        f"{len(fits)} samples and fits. Largest R-hat of a county or parameter above 1.05 in "
        f"{(fits['rhat'] > 1.05).sum()}, divergent transitions in {(fits['divergences'] > 0).sum()}. Over "
        f"the counties of the sample MrP's root mean squared error is below the weighted in "
        f"{sum(map(nearer, found.values()))} of {len(fits)}."
    )
    lines = [checks, ""]
    for outcome in OUTCOMES:
        lines += tables(outcome, {d: of for (o, d), of in found.items() if o == outcome})
    text = page.read_text("utf-8")
    before, after = text.split(START)[0], text.split(END)[1]
    page.write_text("\n".join([f"{before}{START}", "", *lines, f"{END}{after}"]), "utf-8")


def draw_figure(found: dict[tuple[str, str], pd.DataFrame], path: Path) -> None:
    """Share of true values within intervals of each level, and error of direct estimates and MrP."""
    import matplotlib

    from poolmap.figures.style import BLUE, GOLD, MUTED, RC, new_figure

    looks = {"weighted": (GOLD, "s", "none"), "model": (MUTED, "^", ":"), "predicted": (BLUE, "o", "-")}
    names = ["weighted", "MrP, expected", "MrP, finite population"]
    with matplotlib.rc_context(RC):
        figure = new_figure(9, 5.2)
        panels = figure.subplots(len(OUTCOMES), len(DESIGNS) + 1)
        for (outcome, design), rows in found.items():
            axes = panels[list(OUTCOMES).index(outcome), list(DESIGNS).index(design)]
            curves = calibration(rows, INTERVAL)
            axes.axline((0, 0), slope=1, color=MUTED, linewidth=0.6)
            for (kind, (colour, marker, line)), name in zip(looks.items(), names, strict=True):
                part = curves[curves["kind"] == kind]
                size, above = (6, 3) if kind == "weighted" else (4, 2)
                look = {"color": colour, "marker": marker, "linestyle": line, "markersize": size}
                axes.plot(part["level"], part["coverage"], **look, zorder=above, label=name)
            axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="level of the interval")
            axes.set_title(design.replace("_", " "))
        for axes, outcome in zip(panels[:, 0], OUTCOMES, strict=True):
            axes.set_ylabel({"award": "award", "api00": "score"}[outcome] + ": true values within")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        for axes, outcome in zip(panels[:, -1], OUTCOMES, strict=True):
            for at, design in enumerate(DESIGNS):
                error = summary(found[outcome, design]).set_index(["kind", "where"])["rmse"]
                for kind, where in (("weighted", "sampled"), ("model", "sampled"), ("model", "unsampled")):
                    colour, marker, _ = looks[kind]
                    fill = "none" if where == "unsampled" else "full"
                    axes.plot(at, error[kind, where], marker, color=colour, fillstyle=fill)
            axes.set_xticks(range(len(DESIGNS)), [name.replace("_", " ") for name in DESIGNS], rotation=20)
            axes.set(xlim=(-0.5, len(DESIGNS) - 0.5), box_aspect=1)
            axes.set_ylim(bottom=0)
            axes.set_title("root mean squared error")
        figure.savefig(path, dpi=130)


def main() -> None:
    """Run or take up the samples, then write the summaries and the figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("samples", type=int, nargs="?", default=200)
    parser.add_argument("--only-report", action="store_true", help="no new samples")
    arguments = parser.parse_args()
    kept, out = ROOT / "results/calibration", ROOT / "docs/calibration"
    kept.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    schools = population()
    program = analysis("award", "stratified", Path()).program("main")
    executable = compile_program(ROOT / f"stan/{program}.stan", include_paths=[ROOT / "stan"]).executable
    paths = {(o, d): kept / f"{o}_{d}.csv" for o in OUTCOMES for d in DESIGNS}
    found = {key: pd.read_csv(path) if path.exists() else pd.DataFrame() for key, path in paths.items()}
    for number in range(0 if arguments.only_report else arguments.samples):
        for key, done in found.items():
            if len(done) and number in set(done["replicate"]):
                continue
            found[key] = pd.concat([done, replicate(*key, number, schools, executable)], ignore_index=True)
            found[key].to_csv(paths[key], index=False)
    for (outcome, design), rows in found.items():
        print(f"\n{outcome}, {design}: {DESIGNS[design]}\n{summary(rows).round(3).to_string(index=False)}")
    for name, of in (("summary", summary), ("by_size", by_size)):
        together = pd.concat([of(rows).assign(outcome=o, design=d) for (o, d), rows in found.items()])
        together.set_index(["outcome", "design"]).round(4).to_csv(out / f"california_{name}.csv")
    draw_figure(found, out / "california.png")
    write_page(found, ROOT / "docs/calibration.md")


if __name__ == "__main__":
    main()
