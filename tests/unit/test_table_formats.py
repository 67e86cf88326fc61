"""Stata, SPSS and large text tables: labels, missing codes, and one result whichever way a file is read."""

import pandas as pd
import pyreadstat
import pytest

from poolmap.errors import InputError
from poolmap.tables import read_header, read_table

CODED = pd.DataFrame(
    {
        "sex": [1, 2, 1, 9, None],
        "age": [18.0, 30, 99, 45, 20],
        "w": [0.1, 2, 0.3, 4, 5],
        "place": ["a", "b", " ", "é", ""],
    }
)
LABELS = {"sex": {1: "male", 2: "female", 9: "refused"}}


@pytest.fixture
def spss(tmp_path):
    path = tmp_path / "t.sav"
    missing = {"sex": [9], "age": [{"lo": 98, "hi": 99}]}
    pyreadstat.write_sav(CODED, str(path), variable_value_labels=LABELS, missing_ranges=missing)
    return path


def test_spss_labels_and_missing_codes(spss):
    table = read_table(spss)
    assert table.unit == "row"
    assert read_header(spss) == list(table.frame.columns) == ["sex", "age", "w", "place"]
    assert table.frame["sex"].tolist() == ["male", "female", "male", "", ""]
    assert table.frame["age"].tolist() == ["18", "30", "", "45", "20"]
    assert table.frame["w"].tolist() == ["0.1", "2", "0.3", "4", "5"]
    assert table.frame["place"].tolist() == ["a", "b", "", "é", ""]
    assert table.notes == [
        "missing by declaration in 'sex': 9 (refused): 1",
        "missing by declaration in 'age': 99: 1",
    ]


def test_compressed_spss(tmp_path):
    path = tmp_path / "t.zsav"
    pyreadstat.write_sav(CODED, str(path), compress=True, variable_value_labels=LABELS)
    assert read_table(path).frame["sex"].tolist() == ["male", "female", "male", "refused", ""]


def test_stata_labels_and_extended_missing_values(tmp_path):
    path = tmp_path / "t.dta"
    frame = pd.DataFrame({"sex": [1, 2, 3, "a", "b"], "x": [1.5, 2.0, None, 4.0, 5.0]})
    labels = {"sex": {1: "male", 2: "female", 3: "female", "a": "refused"}}
    pyreadstat.write_dta(
        frame, str(path), variable_value_labels=labels, missing_user_values={"sex": ["a", "b"]}
    )
    table = read_table(path)
    assert table.frame["sex"].tolist() == ["male", "female", "female", "", ""]
    assert table.frame["x"].tolist() == ["1.5", "2", "", "4", "5"]
    assert "missing by declaration in 'sex': a (refused): 1, b: 1" in table.notes
    assert "the codes 2, 3 of 'sex' share the label 'female': one level" in table.notes


def test_stata_of_pandas(tmp_path):
    path = tmp_path / "t.dta"
    frame = pd.DataFrame({"g": pd.Categorical(["x", "y", None]), "f": [0.1, 2.5, 3]}).astype({"f": "float32"})
    frame.to_stata(path, write_index=False)
    table = read_table(path)
    assert table.frame["g"].tolist() == ["x", "y", ""]
    assert table.frame["f"].tolist() == ["0.1", "2.5", "3"]


@pytest.mark.parametrize("name", ["t.dta", "t.sav", "t.parquet"])
def test_files_that_are_not_what_their_ending_says(tmp_path, name):
    path = tmp_path / name
    for read in (read_table, read_header):
        with pytest.raises(InputError, match="does not exist"):
            read(path)
    path.write_bytes(b"a,b\n1,2\n")
    for read in (read_table, read_header):
        with pytest.raises(InputError, match="cannot be read as"):
            read(path)


@pytest.mark.parametrize("name", ["t.por", "t.sas7bdat", "t.xls"])
def test_endings_that_are_not_read(tmp_path, name):
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x\n 2 , x\n1,\n",
        "a;b\r\n1;x\r\n2;y\r\n\r\n",
        "\ufeffa\tb\n1\tx\n",
        'a,b\n1,"x, y"\n2,"say ""no"""\n',
        'a,b\n1,"x\ny"\n2,z\n',
        "a,b\n1,x\n\n3,y\n",
        "sep=;\na;b\n1;x\n",
        "a,b,,\n1,x,,\n",
        "a,b\n,\n1,NA\n",
        "a\n1\n2\n",
    ],
)
def test_categories_hold_what_text_holds(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    plain, coded = read_table(path), read_table(path, categories=True)
    assert all(isinstance(kind, pd.CategoricalDtype) for kind in coded.frame.dtypes)
    pd.testing.assert_frame_equal(plain.frame, coded.frame.astype(object), check_index_type=False)


@pytest.mark.parametrize("text", ["a,b\n1\n", "a,a\n1,2\n", "a,b\n1,2,3\n", "a,b\n", "", "a,b\n1,\0\n"])
def test_mistakes_are_told_alike(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    told = []
    for categories in (False, True):
        with pytest.raises(InputError) as caught:
            read_table(path, categories=categories)
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_numbers_of_categories(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n-2,3\nNA,4.5\n1,\n")
    for table in (read_table(path), read_table(path, categories=True)):
        assert table.numbers("a", lower=0).fillna(-9).tolist() == [1, -9, -9, 1]
        assert table.numbers("b").fillna(-9).tolist() == [-9, 3, 4.5, -9]
        assert [str(problem).split("\n")[0].rpartition("t.csv, ")[2] for problem in table.problems] == [
            "line 3, column 'a': -2 is not at least 0",
            "line 2, column 'b': 'x' is not a number",
        ]
        assert table.counts("b").isna().tolist() == [True, False, True, True]


def test_parquet_of_dictionaries_and_numbers(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"g": pd.Categorical(["x ", "x", None]), "n": [1, 2, 2]})
    frame.to_parquet(path)
    for categories in (False, True):
        table = read_table(path, categories=categories)
        assert table.frame.astype(object).to_numpy().tolist() == [["x", "1"], ["x", "2"], ["", "2"]]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.dta", "t.xlsx"])
def test_some_columns_of_many(tmp_path, name):
    path = tmp_path / name
    frame = pd.DataFrame({"a": ["x", "y", ""], "b": [1, 2, 3], "c": ["", "", "z"]})
    if name == "t.csv":
        frame.to_csv(path, index=False)
    elif name == "t.parquet":
        frame.to_parquet(path)
    elif name == "t.dta":
        frame.to_stata(path, write_index=False)
    else:
        frame.to_excel(path, index=False)
    table = read_table(path, categories=True, only={"a", "d"})
    assert table.frame["a"].tolist() == ["x", "y", ""]
    assert list(table.frame.columns) == ["a"]
    assert list(table.others) == ["b", "c"]
    table.has("bb")
    assert "did you mean 'b'?" in str(table.problems[0])
    assert len(read_table(path, categories=True, only=()).frame) == 3
