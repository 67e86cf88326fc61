"""Neighbours from files: edge list, adjacency matrix, GAL; arcs of TopoJSON."""

import json

import pytest
from maps import example, graph_of, squares, us_counties

from poolmap.errors import InputError
from poolmap.graph.edge_file import file_pairs
from poolmap.graph.geometry import read_geometry
from poolmap.graph.topojson import arc_pairs

AREAS = ["Wake", "Durham", "Orange", "Dare"]


@pytest.fixture
def pairs(tmp_path):
    def read(text, name="pairs.csv"):
        path = tmp_path / name
        path.write_text(text)
        return file_pairs(path, AREAS).tolist()

    return read


@pytest.fixture
def refused(pairs):
    def problems(text, name="pairs.csv"):
        with pytest.raises(InputError) as caught:
            pairs(text, name)
        found = [str(problem) for problem in caught.value.problems]
        assert all(name in problem for problem in found)
        return found

    return problems


# Edge lists


def test_edge_list_in_any_order_and_direction(pairs):
    assert pairs("from,to\nDurham,Wake\nWake,Durham\nOrange,Durham\n") == [[0, 1], [1, 2]]
    assert pairs("from;to\nDurham;Wake\n") == [[0, 1]]
    assert pairs("from\tto\n Durham \tWake\n", "pairs.tsv") == [[0, 1]]


def test_every_row_of_an_edge_list_is_checked(refused):
    found = refused("from,to\nWake,Durham\nwake,Durham\nDare,Dare\nOrange,\nDurham,Orage\nWake,Dare\n")
    assert len(found) == 4
    assert "line 3, column 'from': 'wake' is not an area of the map" in found[0]
    assert "did you mean 'Wake'?" in found[0]
    assert "line 4: area 'Dare' is made its own neighbour" in found[1]
    assert "line 5, column 'to': the id is empty" in found[2]
    assert "line 6, column 'to': 'Orage'" in found[3] and "did you mean 'Orange'?" in found[3]


def test_an_edge_list_of_row_numbers_is_told_once(refused):
    (found,) = refused("from,to\n1,2\n2,3\n")
    assert "3 of its 3 ids are not those of an area, the first one '1'" in found
    assert "such as 'Wake', not with the numbers of its rows" in found


def test_an_edge_list_without_header_is_refused(refused):
    (found,) = refused("Wake,Durham\nDurham,Orange\n")
    assert "the first line of a table names its columns" in found


def test_long_lists_of_problems_are_cut(refused):
    rows = [f"Wake,x{i}" for i in range(40)] + [f"{a},{b}" for a in AREAS for b in AREAS if a != b] * 4
    found = refused("from,to\n" + "\n".join([*rows, "Wake,Durham"]) + "\nDare,Dare\n")
    assert len(found) == 1 and "40 of its 44 ids" in found[0]
    found = refused("from,to\n" + "Dare,Dare\n" * 50)
    assert len(found) == 21 and "30 more problems" in found[20]


# Adjacency matrices


def test_adjacency_matrix_in_any_order(pairs):
    text = "id,Durham,Wake,Dare,Orange\nWake,1,0,0,0\nDurham,0,1,0,1\nOrange,1,0,0,0.0\nDare,0,0,0,0\n"
    assert pairs(text) == [[0, 1], [1, 2]]


def test_every_cell_of_a_matrix_is_checked(refused):
    found = refused(
        "id,Wake,Durham,Orange,Dare\nWake,1,1,0,0\nDurham,0,0,0.5,0\nOrange,0,1,0,\nDare,0,0,0,0\n"
    )
    text = "\n".join(found)
    assert "line 2, column 'Wake': area 'Wake' is made its own neighbour" in text
    assert "line 3, column 'Orange': '0.5' is not 0 or 1" in text
    assert "line 4, column 'Dare': '' is not 0 or 1" in text
    assert "line 2, column 'Durham': 'Durham' is made a neighbour of 'Wake', but not the other way" in text
    assert "write the same into line 3, column 'Wake'" in text
    assert len(found) == 5


def test_rows_and_columns_of_a_matrix_are_those_of_the_map(refused):
    found = refused("id,Wake,Durham,Orage\nWake,0,1,0\nDurham,1,0,0\nDurham,1,0,0\nOrange,0,0,0\n")
    text = "\n".join(found)
    assert "line 4, column 'id': area 'Durham' has a row already (line 3)" in text
    assert "header: 'Orage' is not an area of the map" in text and "did you mean 'Orange'?" in text
    assert "1 areas of the map have no row: 'Dare'" in text
    assert "2 areas of the map have no column: 'Orange', 'Dare'" in text


def test_another_table_is_refused(refused):
    (found,) = refused("from,to,weight\nWake,Durham,1\n")
    assert "it has 3 columns" in found and "two columns of ids" in found


# GAL

GAL = "4\nWake 1\nDurham\nDurham 2\nWake Orange\nOrange 1\nDurham\nDare 0\n\n"


@pytest.mark.parametrize("text", [GAL, GAL.rstrip(), GAL.replace("4\n", "0 4 counties NAME\n", 1)])
def test_gal(pairs, text):
    assert pairs(text, "map.gal") == [[0, 1], [1, 2]]


def test_gal_of_an_area_without_neighbours_in_the_middle(pairs):
    for empty in ("\n", ""):
        text = f"4\nDare 0\n{empty}Wake 1\nDurham\nDurham 2\nWake Orange\nOrange 1\nDurham\n"
        assert pairs(text, "map.gal") == [[0, 1], [1, 2]]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("Wake 1\n", "Wake 2\n", "line 2", "said to have 2 neighbours, but 1 follow"),
        ("Wake 1\n", "Wake one\n", "line 2", "'Wake one' is not an id and the number of its neighbours"),
        ("4\n", "5\n", "line 1", "it says 5 areas, but 4 have an entry"),
        ("4\n", "counties\n", "line 1", "it does not begin with the number of areas"),
        ("Wake Orange", "Wake Orage", "line 5", "'Orage' is not an area of the map"),
        ("Orange 1\nDurham", "Orange 1\nOrange", "line 7", "area 'Orange' is made its own neighbour"),
        ("Orange 1\nDurham", "Orange 0\n", "line 5", "'Orange' is made a neighbour of 'Durham', but not"),
        ("Dare 0", "Dara 0", "line 8", "'Dara' is not an area of the map"),
        ("Dare 0", "Wake 0", "line 8", "area 'Wake' stands already in line 2"),
    ],
)
def test_every_entry_of_a_gal_file_is_checked(refused, old, new, place, words):
    assert old in GAL
    found = "\n".join(refused(GAL.replace(old, new, 1), "map.gal"))
    assert f"map.gal, {place}: " in found and words in found


def test_a_gal_file_of_row_numbers_is_told_once(refused):
    (found,) = refused("4\n0 1\n1\n1 2\n0 2\n2 1\n1\n3 0\n", "map.gal")
    assert "4 of its 4 ids are not those of an area" in found


@pytest.mark.parametrize(
    ("shapes", "column", "gal", "contiguity"),
    [("sids2.shp", "FIPSNO", "sids2.gal", "rook"), ("columbus.shp", "POLYID", "columbus.gal", "queen")],
)
def test_gal_files_of_libpysal_hold_contiguity(shapes, column, gal, contiguity):
    import libpysal

    geometry = example(shapes, column)
    path = libpysal.examples.get_path(gal)
    from_file = graph_of(geometry, method="file", file=path)
    drawn = graph_of(geometry, match="vertices", contiguity=contiguity)
    assert from_file.edges.tolist() == drawn.edges.tolist()
    assert from_file.rule.endswith(gal)


def test_a_file_names_its_method_in_the_graph(tmp_path):
    path = tmp_path / "ferries.csv"
    path.write_text("from,to\na,c\n")
    graph = graph_of(squares((0, 0), (1, 0), (5, 0)), method="file", file=str(path), cut=[["a", "b"]])
    assert graph.edges.tolist() == [[0, 2]] and graph.islands == ("b",)
    path.write_text("from,to\na,a\n")
    with pytest.raises(InputError, match="its own neighbour"):
        graph_of(squares((0, 0), (1, 0)), method="file", file=str(path))


# TopoJSON

# Three squares in a row, a fourth that touches the second and the third in a corner, and one apart that
# belongs to the fourth. Arcs 0 and 1 lie between the squares.
TOPOLOGY = {
    "type": "Topology",
    "transform": {"scale": [0.5, 0.5], "translate": [10, 50]},
    "arcs": [
        [[2, 0], [0, 2]],
        [[4, 0], [0, 2]],
        [[2, 2], [-2, 0], [0, -2], [2, 0]],
        [[4, 2], [-2, 0]],
        [[2, 0], [2, 0]],
        [[4, 0], [2, 0], [0, 2], [-2, 0]],
        [[4, 2], [0, 2], [-2, 0], [0, -1], [2, -1]],
        [[40, 40], [2, 0], [0, 2], [-2, -2]],
    ],
    "objects": {
        "tiles": {
            "type": "GeometryCollection",
            "geometries": [
                {"type": "Polygon", "properties": {"code": 1}, "id": "a", "arcs": [[0, 2]]},
                {"type": "MultiPolygon", "properties": {"code": 2}, "id": "b", "arcs": [[[4, 1, 3, -1]]]},
                {"type": "Polygon", "properties": {"code": 3.0}, "id": "c", "arcs": [[5, -2]]},
                {
                    "type": "GeometryCollection",
                    "properties": {"code": 4},
                    "id": "d",
                    "geometries": [{"type": "Polygon", "arcs": [[6]]}, {"type": "Polygon", "arcs": [[7]]}],
                },
                {"type": None, "properties": {"code": 5}, "id": "e"},
            ],
        }
    },
}


@pytest.fixture
def topology(tmp_path):
    def written(content=TOPOLOGY):
        path = tmp_path / "map.json"
        path.write_text(json.dumps(content))
        return path

    return written


def test_arcs_give_rook_and_their_ends_queen_neighbours(topology):
    path = topology()
    assert arc_pairs(path, "id", None, list("abcd"), "rook").tolist() == [[0, 1], [1, 2]]
    assert arc_pairs(path, "code", "tiles", list("4321"), "rook").tolist() == [[1, 2], [2, 3]]
    queen = arc_pairs(path, "id", None, list("abcd"), "queen").tolist()
    assert queen == [[0, 1], [1, 2], [1, 3], [2, 3]]


def test_arcs_without_quantisation(topology):
    """The same topology with coordinates in place of steps."""
    arcs = []
    for arc in TOPOLOGY["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append([10 + 0.5 * x, 50 + 0.5 * y, 7.0])
        arcs.append(points)
    plain = {key: value for key, value in TOPOLOGY.items() if key != "transform"} | {"arcs": arcs}
    path = topology(plain)
    for contiguity in ("queen", "rook"):
        quantised = arc_pairs(path, "id", None, list("abcd"), contiguity).tolist()
        assert quantised == arc_pairs(topology(), "id", None, list("abcd"), contiguity).tolist()
        path = topology(plain)


def test_arcs_are_refused_with_the_remedy(topology, tmp_path):
    def message(content, areas=("a",), layer=None, column="id"):
        with pytest.raises(InputError) as caught:
            arc_pairs(topology(content), column, layer, areas, "rook")
        return str(caught.value)

    assert "not TopoJSON" in message({"type": "FeatureCollection", "features": []})
    assert "holds no arcs" in message({**TOPOLOGY, "arcs": []})
    assert "did you mean 'tiles'?" in message(TOPOLOGY, layer="tile")
    several = {**TOPOLOGY, "objects": {"one": {}, "two": {}}}
    assert "holds several objects" in message(several)
    assert "2 areas of the map have no feature with arcs: 'x', 'y'" in message(TOPOLOGY, ["a", "x", "y"])
    broken = json.loads(json.dumps(TOPOLOGY))
    broken["objects"]["tiles"]["geometries"][1]["arcs"] = [[[99]]]
    assert "feature 2 (area 'b'): it refers to arc 99, but the file has arcs 0 to 7" in message(broken, "ab")
    gpkg = tmp_path / "map.gpkg"
    gpkg.write_bytes(b"\x00\xff")
    with pytest.raises(InputError, match="needs a TopoJSON file"):
        arc_pairs(gpkg, "id", None, ["a"], "rook")


def test_arcs_and_polygons_agree_on_the_counties_of_the_united_states(tmp_path):
    """They differ in San Francisco and Alameda, whose common arc is lost where Alameda is repaired, and one
    more rook pair that the repair takes from Alameda.
    """
    geometry = read_geometry(us_counties(tmp_path), "id", "counties")

    def named(**spec):
        graph = graph_of(geometry, **spec)
        return {tuple(sorted((graph.areas[i], graph.areas[j]))) for i, j in graph.edges}

    assert named(method="arcs") ^ named(match="vertices") == {("06001", "06075")}
    assert named(method="arcs", contiguity="rook") - named(match="vertices", contiguity="rook") == {
        ("06001", "06075"),
        ("06001", "06099"),
    }
