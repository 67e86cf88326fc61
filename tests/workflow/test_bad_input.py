"""Bad input: the message names file, row or key and the remedy; exit code not 0; no partial result."""

import os
import shutil
import subprocess

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
        "config/config.yaml, line 11: analyses.a.models.main.formula",
        "'double' follows from 'dose': they are collinear",
        "take one of them out of the formula",
    )


def test_tables_that_form_no_meta_analysis(project):
    """One run, an analysis for each kind of mistake: each is told with its file and line."""
    project.write("arms.csv", "study,arm,e,n\nA,drug,1,9\nA,placebo,2,9\nB,drug,1,9\n")
    project.write("se.csv", "study,y,s\nA,1,0\nB,2,5%\n")
    project.write("limits.csv", "study,y,l,u\nA,1,2,3\nB,1,0,2\n")
    project.write("twice.csv", "study,y,s\nA,1,1\nA,2,1\n")
    models = "    models: {m: {mu_prior: {normal: [0, 1]}, tau_prior: {half_normal: 1}}}\n"
    gen = "    family: meta\n    study: study\n    measure: GEN\n" + models
    arms = "{events: e, total: n, arm: arm}"
    text = (
        "  arms:\n    family: meta\n    study: study\n    measure: OR\n    data: arms.csv\n"
        f"    columns: {arms}\n    layout: long\n    reference: placebo\n"
        f"  se:\n{gen}    data: se.csv\n    columns: {{estimate: y, se: s}}\n"
        f"  limits:\n{gen}    data: limits.csv\n    columns: {{estimate: y, lower: l, upper: u}}\n"
        f"  twice:\n{gen}    data: twice.csv\n    columns: {{estimate: y, se: s}}\n"
    )
    refused(
        project,
        text,
        "arms.csv, line 4, column 'arm': the arms of study 'B' do not form a comparison: only 'drug'",
        "se.csv, line 2, column 's': 0 is not above 0",
        "se.csv, line 3, column 's': '5%' is not a number",
        "limits.csv, line 2, column 'l': the limits 2 to 3 do not contain the estimate 1",
        "twice.csv, line 3, column 'study': study 'A' stands already in line 2",
        "`effect_id: outcome`",
    )


def test_dry_run_reads_the_tables(project):
    """`make dry-run` tells what is wrong with config and tables, and runs nothing."""
    project.write("trials.csv", "study,e1,n1,e2,n2\nA,11,10,2,10\nB,2,20,3,20\n")
    project.write("config/config.yaml", HEAD + META)
    check = [".venv/bin/python", "scripts/check_config.py", "config/config.yaml"]
    for options, code in ((["--tables"], 1), ([], 0)):
        done = subprocess.run(
            [*check, *options], cwd=project.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == code
        assert ("trials.csv, line 2, column 'e1': 11 events among 10" in done.stderr) == bool(code)
        assert "Traceback" not in done.stderr
    assert not (project.folder / "results").exists()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            "    graph: {method: distance, distance: 1}\n",
            "no area has a neighbour: neighbours are areas whose",
        ),
        (
            "    graph: {method: file, file: pairs.csv}\n",
            "pairs.csv, line 2, column 'b': '37999' is not an area",
        ),
    ],
)
def test_dry_run_builds_the_graph(project, keys, words):
    project.write("pairs.csv", "a,b\n37001,37999\n")
    text = AREAS.replace("counts.csv", "resources/nc_sids/counts.csv") + keys
    project.write("config/config.yaml", HEAD + text)
    check = [".venv/bin/python", "scripts/check_config.py", "config/config.yaml", "--tables"]
    done = subprocess.run(check, cwd=project.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr


def test_areas_that_the_table_does_not_have_are_told_before_anything_is_run(project):
    text = AREAS.replace("counts.csv", "resources/nc_sids/counts.csv")
    text += "    contrasts: [['37001', '37999']]\n    graph: {join: [['37001', '3703']]}\n"
    words = "analyses.a.contrasts: '37999' is not an area", "analyses.a.graph.join: '3703' is not an area"
    refused(project, text, *words)


def test_mistakes_of_config_formula_and_columns_come_at_once(project):
    project.write("trials.csv", TRIALS)
    text = META.replace("e1,", "ee1,") + (
        "    thresholds: [0]\n    models:\n      main: {likelihood: poisson}\n"
        "      slope: {formula: 'n1 +', beta_prior: {normal: [0, 1]}}\n    moderators: [n1]\n"
    )
    refused(
        project,
        text,
        "line 9: analyses.a.columns.events_1: 'trials.csv' has no column 'ee1'",
        "line 10: analyses.a.thresholds: thresholds of a ratio are ratios",
        "line 12: analyses.a.models.main.likelihood: the poisson likelihood is available for IRR and IRLN",
        "for RR write normal or binomial",
        "line 13: analyses.a.models.slope.formula: the formula 'n1 +' is not complete",
    )


def test_a_folder_or_a_table_of_another_format(project):
    project.write("trials.csv", TRIALS.replace(",", "|"))
    second = META.replace("  a:", "  b:").replace("trials.csv", "resources")
    refused(
        project,
        META + second,
        "line 6: analyses.a.data: trials.csv: the first line names a single column: 'study|e1|n1|e2|n2'",
        "line 12: analyses.b.data: 'resources' is a folder, not a file",
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
