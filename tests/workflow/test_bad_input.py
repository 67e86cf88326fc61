"""Bad input: the message names file, row or key and the remedy; exit code not 0; no partial result."""

import os
import shutil

import pytest

from tests.workflow.projects import told_last

HEAD = "title: bad\nsampling: {chains: 4, warmup: 500, draws: 750}\nanalyses:\n"
META = """  a:
    family: meta
    data: trials.csv
    study: study
    measure: RR
    columns: {events_1: e1, total_1: n1, events_2: e2, total_2: n2}
"""
AREAS = """  a:
    family: areas
    data: counts.csv
    geometry: resources/nc_sids/counties.gpkg
    area: fips
    outcome: {cases: sids_1974, population: births_1974}
"""
MRP = """  a:
    family: mrp
    survey: survey.csv
    census: resources/california_schools/census.csv
    count: n
    outcome: {column: award, positive: "Yes"}
    formula: "award ~ 1 + (1 | county) + (1 | school_type)"
    estimates: [school_type]
"""
TRIALS = "study,e1,n1,e2,n2\nA,1,10,2,10\nB,2,20,3,20\nC,0,30,1,30\n"


def refused(project, text, *words, env=None, results=()):
    """Run with a config that must be refused: failure, all words at the output's end, nothing half-made."""
    project.write("config/config.yaml", HEAD + text)
    code, output = project.run(env=env)
    assert code != 0, output
    last = told_last(output)
    for word in words:
        assert word in last, f"no {word!r} at the end of:\n{output}"
    left = [p for p in (project.folder / "results").rglob("*") if p.is_file()]
    left = [p for p in left if not p.name.startswith(".") and p.suffix not in (".log", ".tsv")]
    assert {p.relative_to(project.folder / "results").parts[0] for p in left} <= {"stan", *results}, left
    return output


def test_misspelt_key(project):
    project.write("trials.csv", TRIALS)
    refused(
        project,
        META.replace("measure", "mesure"),
        "config/config.yaml, line 8: analyses.a.mesure",
        "did you mean 'measure'?",
    )


def test_missing_column(project):
    project.write("trials.csv", TRIALS)
    refused(project, META.replace("e1,", "ee1,"), "config/config.yaml, line 9", "no column 'ee1'", "'e1'")


def test_missing_file(project):
    refused(project, META, "the file 'trials.csv' does not exist", "relative to the project folder")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("A,11,10,2,10\nB,2,20,3,20\n", ["trials.csv, line 2", "e1", "11"]),
        ("A,-1,10,2,10\nB,2,20,3,20\n", ["trials.csv, line 2, column 'e1'", "-1 is not at least 0"]),
        ("A,1,10,2,10\nB,two,20,3,20\n", ["trials.csv, line 3, column 'e1'", "'two' is not a number"]),
        ("A,1.5,10,2,10\nB,2,20,3,20\n", ["trials.csv, line 2, column 'e1'", "not a whole number"]),
        (
            "A,1,10,2,10\nA,2,20,3,20\n",
            ["trials.csv, line 3, column 'study'", "'A' stands already in line 2"],
        ),
        ("A,1,10,2,10\nB,2,20,3\n", ["trials.csv, line 3", "4 fields"]),
        ("A,0,10,0,10\nB,0,20,0,20\n", ["trials.csv", "all events are zero: none of the 2 studies"]),
    ],
)
def test_bad_rows_of_a_study_table(project, rows, words):
    project.write("trials.csv", "study,e1,n1,e2,n2\n" + rows)
    refused(project, META, *words)


def test_bad_columns_beside_the_data(project):
    rows = ["A,1,10,2,10,x,low", "B,2,20,3,20,y,probably low", "C,0,30,1,30,y,high"]
    project.write("trials.csv", "study,e1,n1,e2,n2,arm,bias\n" + "\n".join(rows) + "\n")
    refused(
        project,
        META + "    exclude: {arm: [X]}\n    risk_of_bias: {Blinding: bias}\n",
        "trials.csv, column 'arm'",
        "did you mean 'x'?",
        "trials.csv, line 3, column 'bias'",
        "'probably low' is not a judgement",
    )


def test_collinear_moderators(project):
    rows = ["A,1,10,2,10,1,2", "B,2,20,3,20,2,4", "C,0,30,1,30,5,10", "D,1,30,1,30,3,6"]
    project.write("trials.csv", "study,e1,n1,e2,n2,dose,double\n" + "\n".join(rows) + "\n")
    model = '{formula: "dose + double", beta_prior: {normal: [0, 1]}}'
    refused(
        project,
        META + f"    moderators: [dose, double]\n    models: {{main: {model}}}\n",
        "models.main.formula",
        "'double' follows from 'dose': they are collinear",
        results=["a"],
    )


def counts(project, change):
    lines = (project.folder / "resources/nc_sids/counts.csv").read_text().splitlines()
    project.write("counts.csv", "\n".join(change(lines)) + "\n")
    return lines[1].split(",")[0]


def test_an_area_without_a_polygon(project):
    counts(project, lambda lines: [*lines, lines[1].replace(lines[1].split(",")[0], "99999", 1)])
    refused(project, AREAS, "99999", "counts.csv", "counties.gpkg")


def test_a_polygon_without_counts(project):
    fips = counts(project, lambda lines: [lines[0], *lines[2:]])
    refused(project, AREAS, fips, "counts.csv", "counties.gpkg")


def test_a_duplicated_area(project):
    fips = counts(project, lambda lines: [*lines, lines[1]])
    refused(project, AREAS, f"'{fips}' stands already in line 2", "counts.csv, line 102, column 'fips'")


def test_a_survey_level_absent_from_the_census(project):
    text = (project.folder / "resources/california_schools/survey.csv").read_text()
    project.write("survey.csv", text.replace("Los Angeles", "Los Angelos"))
    refused(project, MRP, "Los Angelos", "county", "Los Angeles", "census.csv")


def test_unreadable_files(project):
    (project.folder / "trials.csv").write_bytes("study,e1,n1,e2,n2\nMalmö,1,10,2,10\n".encode("latin-1"))
    refused(project, META, "trials.csv", "not text in UTF-8", "save it again as CSV UTF-8")


def test_unreadable_polygons(project):
    counts(project, lambda lines: lines)
    project.write("broken.gpkg", "this is no map")
    refused(project, AREAS.replace("resources/nc_sids/counties.gpkg", "broken.gpkg"), "broken.gpkg")


def test_no_compiler(project, tmp_path):
    project.write("trials.csv", TRIALS)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "bash", "env", "make", "uname", "rm", "cat", "which"):
        (tools / name).symlink_to(shutil.which(name))
    env = {"PATH": str(tools), "CXX": ""}
    refused(project, META, "C++ compiler", "sudo apt install g++", env=env)


def test_a_stan_program_that_does_not_compile(project):
    project.write("trials.csv", TRIALS)
    path = project.folder / "stan/meta/normal.stan"
    path.write_text(path.read_text().replace("parameters {", "parameters { real oops", 1))
    refused(
        project,
        META,
        "stan/meta/normal.stan does not compile",
        "line",
        "Correct the program",
        results=["a"],
        env={"SNAKEMAKE_TEST": os.environ.get("PYTEST_CURRENT_TEST", "")},
    )


def test_too_few_studies(project):
    project.write("trials.csv", "study,e1,n1,e2,n2\nA,1,10,2,10\n")
    refused(project, META, "trials.csv", "2")


def test_all_analyses_are_told_at_once(project):
    project.write("trials.csv", TRIALS)
    text = META.replace("family: meta", "family: mta") + META.replace("  a:", "  b:").replace("RR", "RRR")
    refused(project, text, "analyses.a.family", "analyses.b.measure")
