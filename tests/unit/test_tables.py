"""Users' tables: what is read, what is refused, and where the message points."""

import datetime
import math
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from poolmap.errors import InputError
from poolmap.tables import nearest, read_header, read_table


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(text, **encoding):
        Path("t.csv").write_text(text, **encoding)
        return read_table("t.csv")

    return read


def refused(call):
    with pytest.raises(InputError) as caught:
        call()
    return [str(p) for p in caught.value.problems]


def test_ids_stay_text(table):
    assert list(table("id,x\n001,1\n1e5,2\nNO,3\n").ids("id", what="area")) == ["001", "1e5", "NO"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_byte_order_mark(table, separator):
    t = table(f"\ufeffid{separator}x\na{separator}1\n", encoding="utf-8")
    assert list(t.frame.columns) == ["id", "x"]
    assert read_header("t.csv") == ["id", "x"]


def test_lines_are_those_of_the_file(table):
    t = table('id,x\n\n"a\nb",1\nc,oops\n')
    t.counts("x")
    (message,) = refused(t.finish)
    assert message.startswith("t.csv, line 5, column 'x': 'oops' is not a number")


def test_missing_values_are_nan_not_problems(table):
    t = table("id,x\na,NA\nb,\nc,.\nd,4\n")
    values = t.counts("x").tolist()
    assert all(math.isnan(v) for v in values[:3])
    assert values[3] == 4
    t.finish()


def test_all_problems_of_all_columns_come_together(table):
    t = table('id,x,y,z\na,-1,1.5,"2,5"\na,x,2,1\n,3,"1,5",1\nd,inf,nan,1\n')
    t.ids("id", what="study")
    t.counts("x")
    t.counts("y")
    t.numbers("z")
    messages = "\n".join(refused(t.finish))
    assert messages.count("decimal point, not a comma") == 1, "it is no advice for a count"
    for words in [
        "line 3, column 'id': study 'a' stands already in line 2",
        "line 4, column 'id': the study is empty",
        "line 2, column 'x': -1 is not at least 0",
        "line 3, column 'x': 'x' is not a number",
        "line 5, column 'x': 'inf' is not a number",
        "line 2, column 'y': 1.5 is not a whole number",
        "line 4, column 'y': '1,5' is not a number",
        "decimal point, not a comma",
    ]:
        assert words in messages


def test_thousands_are_no_decimals(table):
    t = table('n,x\na,"5,130"\nb,"5,13"\n')
    t.numbers("x")
    messages = "\n".join(refused(t.finish))
    assert "'5,130' is not a number\n    -> write a number: without separators between thousands" in messages
    assert messages.count("with a decimal point, not a comma") == 1


def test_many_alike_are_summed_up(table):
    t = table("x\n" + "bad\n" * 50)
    t.counts("x")
    messages = refused(t.finish)
    assert len(messages) == 6
    assert "the same in 45 more rows" in messages[-1]


def test_bounds(table):
    t = table("x\n0\n2\n")
    t.numbers("x", lower=0, strict_lower=True, upper=1)
    assert ["is not above 0" in m or "is more than 1" in m for m in refused(t.finish)] == [True, True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1\n", "line 2: 1 field, but the header names 2 columns"),
        ("a;b\n1,2\n", "the header is separated by semicolon, this line by comma"),
        ("a,b\n1,5,2,5\n", "numbers have a decimal point, not a comma"),
        ("a|b\n1|2\n", "the first line names a single column: 'a|b'"),
        ("My table\na,b\n1,2\n", "take a title above it away"),
        ("a,,b,\n1,2,3,4\n", "2 of 4 columns have no name (those named: 'a', 'b')"),
        ("a,b\n" + "1\n" * 30, "1 field, but the header names 2 columns"),
        ("a,a\n1,2\n", "the column 'a' stands twice"),
        ("a,\n1,2\n3,4\n", None),
        ("", "the file is empty"),
        ("a,b\n", "a header but no rows"),
    ],
)
def test_broken_tables(table, text, words):
    if words is None:
        assert table(text).frame.shape == (2, 2)
    else:
        assert words in refused(lambda: table(text))[0]


def test_many_broken_rows_are_cut_short_aloud(table):
    problems = refused(lambda: table("a,b\n" + "1\n" * 30))
    assert len(problems) == 21
    assert "and 10 more rows or columns with mistakes" in problems[-1]


def test_what_excel_adds(table):
    t = table("sep=;\na;b;;\n1;2;;\n3;4;;\n")
    assert list(t.frame.columns) == ["a", "b"] == read_header("t.csv")
    assert t.frame.to_numpy().tolist() == [["1", "2"], ["3", "4"]]
    assert t.frame.index.tolist() == [3, 4]


def test_unreadable_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("latin.csv").write_bytes("name\nMalmö\n".encode("latin-1"))
    Path("binary.csv").write_bytes(b"PK\x03\x04\x00\x00")
    assert "not text in UTF-8" in refused(lambda: read_table("latin.csv"))[0]
    assert "NUL bytes" in refused(lambda: read_table("binary.csv"))[0]
    assert "does not exist" in refused(lambda: read_table("none.csv"))[0]
    assert "cannot be read" in refused(lambda: read_table("."))[0]


def test_nearest_name():
    assert nearest("Casess", ["cases", "population"]) == "did you mean 'cases'?"
    assert nearest("zzz", ["cases", "population"]) == "valid names: cases, population"


def workbook(path, rows, *, sheet="data", formats=(), more=()):
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    for cell, text in formats:
        book.active[cell].number_format = text
    for name, content in more:
        other = book.create_sheet(name)
        for row in content:
            other.append(row)
    book.save(path)


def test_excel(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    day = datetime.datetime(2001, 12, 31)
    rows = [
        [],
        ["id", "zero", "x", "when", "yes", "empty"],
        ["001", 7, 0.1 + 0.2, day, True, None],
        [],
        [12, 1234, 3.0, day, False, " a "],
    ]
    workbook("t.xlsx", rows, formats=[("B3", "000"), ("B5", "000")])
    t = read_table("t.xlsx")
    assert read_header("t.xlsx") == list(t.frame.columns) == rows[1]
    assert t.frame.index.tolist() == [3, 5]
    assert t.frame.to_numpy().tolist() == [
        ["001", "007", "0.3", "2001-12-31", "TRUE", ""],
        ["12", "1234", "3", "2001-12-31", "FALSE", "a"],
    ]
    assert t.numbers("x").tolist() == [0.3, 3.0]
    t.counts("id")
    t.counts("when")
    assert refused(t.finish)[0].startswith("t.xlsx, row 3, column 'when': '2001-12-31' is not a number")


def test_sheets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workbook("t.xlsx", [["a"], [1]], more=[("Trials 2", [["b"], ["x"]])])
    assert read_table("t.xlsx").frame["a"].tolist() == ["1"]
    assert read_header("t.xlsx", "Trials 2") == ["b"]
    t = read_table("t.xlsx", "Trials 2")
    t.numbers("b")
    assert refused(t.finish)[0].startswith("t.xlsx, sheet 'Trials 2', row 2, column 'b': 'x' is not")
    (message,) = refused(lambda: read_table("t.xlsx", "trials"))
    assert "there is no sheet 'trials'" in message
    assert "'Trials 2'" in message
    Path("t.csv").write_text("a\n1\n")
    assert "it has no sheets" in refused(lambda: read_table("t.csv", "data"))[0]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "the file is empty"),
        ([["a", "b"]], "a header but no rows"),
        ([["a", "a"], [1, 2]], "the column 'a' stands twice"),
        ([["a"], [1], [1, 2]], "row 3: there is a value in column 2, but the header names 1 columns"),
        ([["a", "b"], [1, "=A2+1"]], "cell B2 holds a formula without a stored result"),
    ],
)
def test_broken_sheets(tmp_path, monkeypatch, rows, words):
    monkeypatch.chdir(tmp_path)
    workbook("t.xlsx", rows)
    assert words in refused(lambda: read_table("t.xlsx"))[0]


def test_parquet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(
        {
            "id": ["01", "02", None],
            "n": pd.array([1, None, 3], dtype="Int64"),
            "x": [0.5, float("nan"), 1e-7],
            "single": np.array([0.1, 0.2, 0.3], dtype="float32"),
        }
    )
    frame.to_parquet("t.parquet", index=False)
    t = read_table("t.parquet")
    assert read_header("t.parquet") == list(t.frame.columns) == ["id", "n", "x", "single"]
    assert t.frame["id"].tolist() == ["01", "02", ""]
    assert t.numbers("single").tolist() == [0.1, 0.2, 0.3]
    assert t.numbers("x").dropna().tolist() == [0.5, 1e-7]
    assert t.counts("n").dropna().tolist() == [1, 3]
    t.ids("id", what="study")
    assert refused(t.finish)[0].startswith("t.parquet, row 3, column 'id': the study is empty")


def test_files_that_are_not_what_their_ending_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("t.xlsx", "t.parquet"):
        Path(name).write_text("a,b\n1,2\n")
    assert "cannot be read as an Excel workbook" in refused(lambda: read_table("t.xlsx"))[0]
    assert "cannot be read as Parquet" in refused(lambda: read_table("t.parquet"))[0]
    assert "does not exist" in refused(lambda: read_table("none.xlsx"))[0]
    assert "does not exist" in refused(lambda: read_header("none.parquet"))[0]
    Path("t.xls").write_bytes(b"\xd0\xcf")
    assert "save it as .xlsx" in refused(lambda: read_table("t.xls"))[0]
    pd.DataFrame({"a": [[1, 2]]}).to_parquet("list.parquet")
    assert "a column holds one value a row" in refused(lambda: read_table("list.parquet"))[0]


def test_the_header_of_an_empty_file_is_no_header(tmp_path):
    (tmp_path / "t.csv").write_text("\n \n")
    assert "the file is empty" in refused(lambda: read_header(tmp_path / "t.csv"))[0]
