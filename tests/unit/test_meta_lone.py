"""Subgroups of one study with a tau of their own: the remark in the report."""

from __future__ import annotations

import pytest

from poolmap.families.meta.methods import findings
from tests.unit.meta_draws import analysed, words
from tests.unit.meta_tables import COUNTS, make

ROWS = "A,4,123,11,139,x\nB,6,306,29,303,x\nC,3,231,11,220,y\nD,62,999,88,999,y\nE,33,999,47,999,z\n"


def report(tmp_path, rows=ROWS, **models):
    header = "trial,e1,n1,e2,n2,arm"
    options = {"columns": COUNTS, "moderators": ["arm"], "interval": 0.95, "models": models}
    spec = make(tmp_path, rows, measure="OR", header=header, **options)
    return words(findings(spec, *analysed(spec)))


def test_one_study_with_a_tau_of_its_own(tmp_path):
    text = report(tmp_path, own={"subgroups": "arm", "subgroup_tau": "own"})
    assert (
        "Caution: in model own each subgroup has a tau of its own, and z has one study only. One study "
        "cannot tell how the studies of a subgroup differ: tau there is known from its prior alone"
    ) in text
    assert "half-normal(0.5)" in text.partition("from its prior alone")[2][:60]


def test_several_subgroups_of_one_study_in_a_model_that_is_not_the_primary_one(tmp_path):
    rows = ROWS.replace("D,62,999,88,999,y", "D,62,999,88,999,x")
    text = report(tmp_path, rows, main={}, own={"subgroups": "arm", "subgroup_tau": "own"})
    assert "in model own each subgroup has a tau of its own, and y and z have one study each." in text
    assert "the intervals of their pooled effects rest on that prior" in text


@pytest.mark.parametrize(
    ("rows", "model"),
    [
        (ROWS, {"subgroups": "arm"}),
        (ROWS + "F,180,1541,372,1451,z\n", {"subgroups": "arm", "subgroup_tau": "own"}),
        (ROWS, {"formula": "arm", "beta_prior": {"normal": [0, 1]}}),
    ],
)
def test_no_remark_where_tau_is_shared_or_studies_are_several(tmp_path, rows, model):
    assert "tau of its own, and" not in report(tmp_path, rows, main=model)


def test_studies_that_the_model_leaves_out_do_not_count(tmp_path):
    rows = ROWS + "F,0,100,0,100,z\n"
    text = report(tmp_path, rows, own={"subgroups": "arm", "subgroup_tau": "own"})
    assert "z has one study only" in text
