"""The section `graph` of the config: what is refused, with which words, at which line."""

from pathlib import Path

import pytest

from poolmap.config import load_config
from poolmap.config.load import parse_analysis
from poolmap.errors import InputError

CONFIG = """
analyses:
  lung:
    family: areas
    data: cases.csv
    geometry: map.json
    area: id
    outcome: {cases: cases, expected: expected}
    graph:
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cases.csv").write_text("id,cases,expected\na,1,2\n")
    Path("map.json").write_text("{}")
    Path("pairs.gal").write_text("1\na 0\n")

    def loaded(*lines, **options):
        Path("config.yaml").write_text(CONFIG + "".join(f"      {line}\n" for line in lines))
        return load_config("config.yaml", **options).analyses["lung"]

    return loaded


def problems(load, *lines):
    with pytest.raises(InputError) as caught:
        load(*lines)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "lines",
    [
        ["contiguity: rook", "tolerance: 2"],
        ["match: vertices", "contiguity: rook"],
        ["method: arcs", "contiguity: rook"],
        ["method: knn", "k: 6"],
        ["method: distance", "distance: 50000"],
        ["method: file", "file: pairs.gal"],
        ['join: [[a, b], ["01", c]]', "cut: [[b, c]]"],
    ],
)
def test_methods_are_read_and_survive_the_way_to_a_script(load, lines):
    spec = load(*lines)
    assert parse_analysis(spec.view("ingest")).graph == spec.graph


def test_ids_stay_text(load):
    assert load('join: [["01", b]]').graph.join == (("01", "b"),)
    (problem,) = problems(load, "join: [[01, b]]")
    assert "line 10: analyses.lung.graph.join.0.0: a text is expected" in problem
    assert "put it in quotes" in problem


def test_all_conflicts_are_told_with_their_lines(load):
    found = problems(
        load, "method: knn", "contiguity: rook", "tolerance: 5", "file: pairs.gal", "join: [[a, a]]"
    )
    places = [problem.split(": ")[1] for problem in found]
    assert places == [
        f"analyses.lung.graph.{key}" for key in ("k", "contiguity", "tolerance", "file", "join")
    ]
    assert "line 11" in found[1] and "line 12" in found[2]
    assert "`method: knn` needs it: the number of nearest neighbours" in found[0]
    assert "it goes with `method: contiguity or arcs`, and the method is knn" in found[1]
    assert "[a, a] names one area twice" in found[4]


@pytest.mark.parametrize(
    ("line", "key", "words"),
    [
        ("k: 6", "k", "it goes with `method: knn`, and the method is contiguity"),
        ("distance: 1000", "distance", "it goes with `method: distance`"),
        ("{method: file}", "file", "the path of an edge list, an adjacency matrix or a GAL file"),
        ("{method: distance}", "distance", "in metres"),
        ("{match: vertices, tolerance: 1}", "tolerance", "equal vertices know no tolerance"),
        ("{method: arcs, tolerance: 1}", "tolerance", "the method is arcs"),
        ("{method: arcs, match: vertices}", "match", "the method is arcs"),
        ("{join: [[a, b], [b, a]]}", "join", "[a, b] stands there more than once"),
        ("{join: [[a, b]], cut: [[b, a]]}", "cut", "[b, a] is to be joined as well"),
    ],
)
def test_conflicts(load, line, key, words):
    (problem,) = problems(load, line)
    assert f"analyses.lung.graph.{key}: " in problem and words in problem


def test_a_missing_file_is_told_at_its_key(load):
    (problem,) = problems(load, "method: file", "file: absent.csv")
    assert "line 11: analyses.lung.graph.file: the file 'absent.csv' does not exist" in problem


def test_rules_to_compare(load):
    spec = load("compare: [{contiguity: rook}, {method: knn, k: 4}]")
    assert [rule.method for rule in spec.graph.compare] == ["contiguity", "knn"]
    assert load("compare: []").graph.compare == () and load("k: 4", "method: knn").graph.compare is None
    (problem,) = problems(load, "compare: [{method: arcs}]")
    assert "analyses.lung.graph.compare: `method: arcs` cannot be compared" in problem
    (problem,) = problems(load, "compare: [{method: knn}]")
    assert "analyses.lung.graph.compare.0.k: `method: knn` needs it" in problem


def test_rules_to_compare_refit_nothing(load):
    one, other = (load(f"compare: [{{method: knn, k: {k}}}]") for k in (4, 5))
    for step in ("ingest", "fit"):
        assert one.view(step) == other.view(step) and "compare" not in one.view(step)["graph"]
    assert parse_analysis(one.view("estimate")).graph == one.graph != other.graph


def test_files_of_the_graph(load):
    assert load("contiguity: queen").graph_files() == []
    assert load("method: arcs").graph_files() == ["map.json"]
    spec = load("method: file", "file: pairs.gal")
    assert spec.graph_files() == ["pairs.gal"] and spec.input_files()["graph.file"] == "pairs.gal"
