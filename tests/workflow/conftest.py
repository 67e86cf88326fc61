"""Fixtures of the workflow tests."""

import pytest

from tests.workflow.projects import make_project


@pytest.fixture
def project(tmp_path):
    """A project of the test's own, in a folder with a space in its name."""
    return make_project(tmp_path / "a project")
