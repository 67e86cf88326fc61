"""Write survey.csv and census.csv from the published totals.

Run by maintainers, from this folder: `python build.py` (needs pandas).
"""

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
POSITIVE, TESTED = 50, 3330
PEOPLE = 1_930_000


def main() -> None:
    """One row a person tested, positive ones first; one cell of the census."""
    result = ["positive"] * POSITIVE + ["negative"] * (TESTED - POSITIVE)
    survey = pd.DataFrame({"county": "Santa Clara", "result": result})
    survey.to_csv(HERE / "survey.csv", index=False, lineterminator="\n")
    census = pd.DataFrame({"county": ["Santa Clara"], "people": [PEOPLE]})
    census.to_csv(HERE / "census.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
