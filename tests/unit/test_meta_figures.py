"""How numbers are written."""

from __future__ import annotations

import numpy as np

from poolmap.families.meta.numbers import decimals, number, ratio, with_interval


def test_numbers():
    assert [ratio(x) for x in (0.503, 0.0861, 0.0123, 0.00012, 1.0, 9.999, 12.34, 123.4, 12345.6)] == [
        *("0.50", "0.09", "0.012", "<0.001", "1.00", "10.0", "12.3", "123", "12,346")
    ]
    assert [decimals(x) for x in (3.3, 0.19, 0.049, 33, 0, np.nan)] == [1, 2, 3, 0, 2, 2]
    assert number(-0.004, 2) == "0.00"
    assert with_interval((0.5, 0.34, 0.73), ratio, "95% interval") == "0.50 (95% interval 0.34 to 0.73)"
