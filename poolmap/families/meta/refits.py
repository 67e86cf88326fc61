"""Refits by quadrature: leave-one-out, cumulative, exact LOO, cross-check of MCMC, empirical Bayes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from poolmap.config.base import Prior
from poolmap.families.meta.classical import empirical_bayes, pool
from poolmap.families.meta.quadrature import Posterior, posterior

HIGH_K = 0.7  # Pareto k above which PSIS is not reliable (Vehtari et al. 2024)


def leave_one_out(
    yi: np.ndarray, se: np.ndarray, mu_prior: Prior, tau_prior: Prior, interval: float = 0.95
) -> pd.DataFrame:
    """The posterior without each study in turn, what it shifts, and how well the others predict the study.

    Args:
        yi, se: estimates and standard errors (k,), k at least 2.
        mu_prior, tau_prior: as `quadrature.posterior`.
        interval: level of the central intervals.

    Returns:
        One row per study left out, in the order given: `mu`, `mu_sd`, `mu_median`, `mu_lower`, `mu_upper`,
        the same of `tau` and `theta_new` (the bare names are the means); `mu_shift`, `tau_shift`: posterior
        mean with all studies minus that without this one, in posterior standard deviations of the latter;
        `elpd_loo`: log p(y_i | y_-i), exact, with the study's effect integrated out.

    Raises:
        ValueError: one study only, or as `quadrature.posterior`.
    """
    yi, se = np.asarray(yi, dtype=float), np.asarray(se, dtype=float)
    if len(yi) < 2:
        raise ValueError("leaving one study out needs at least two studies")
    whole = posterior(yi, se, mu_prior, tau_prior)
    without = posterior(yi, se, mu_prior, tau_prior, used=~np.eye(len(yi), dtype=bool))
    table = _wide(without, interval)
    for name, it in (("mu", whole.mu()), ("tau", whole.tau)):
        table[f"{name}_shift"] = (it.mean() - table[name]) / table[f"{name}_sd"]
    table["elpd_loo"] = whole.log_marginal - without.log_marginal
    return table


def cumulative(
    yi: np.ndarray,
    se: np.ndarray,
    mu_prior: Prior,
    tau_prior: Prior,
    by: Sequence | None = None,
    interval: float = 0.95,
) -> pd.DataFrame:
    """The posterior as studies are added one after another.

    Args:
        yi, se: estimates and standard errors (k,).
        mu_prior, tau_prior: as `quadrature.posterior`; both proper, since the first posterior has one study.
        by: values that order the studies, as the years (k,); ties stay in the order given. None: as given.
        interval: level of the central intervals.

    Returns:
        One row per study added: `added` (its position), `k` (studies so far), then `mu`, ... as in
        `leave_one_out`.
    """
    yi, se = np.asarray(yi, dtype=float), np.asarray(se, dtype=float)
    order = np.arange(len(yi)) if by is None else pd.Series(by).reset_index(drop=True).argsort(kind="stable")
    order = np.asarray(order)
    if len(order) != len(yi) or pd.Series(by if by is not None else order).isna().any():
        raise ValueError("the studies are ordered by one value each, none missing")
    used = np.tri(len(yi), dtype=bool)
    table = _wide(posterior(yi[order], se[order], mu_prior, tau_prior, used=used), interval)
    table.insert(0, "added", order)
    table.insert(1, "k", np.arange(1, len(yi) + 1))
    return table


def compare_psis(
    elpd_loo: Sequence[float], elpd_psis: Sequence[float], pareto_k: Sequence[float]
) -> pd.DataFrame:
    """Exact and PSIS leave-one-out log predictive densities of each study.

    Returns:
        Columns `elpd_exact`, `elpd_psis`, `pareto_k`, `difference` (PSIS minus exact), `replaced` (k above
        0.7) and `elpd`: PSIS, and the exact value where it is replaced.
    """
    exact, psis, k = (np.asarray(x, dtype=float) for x in (elpd_loo, elpd_psis, pareto_k))
    high = ~(k <= HIGH_K)
    return pd.DataFrame(
        {
            "elpd_exact": exact,
            "elpd_psis": psis,
            "pareto_k": k,
            "difference": psis - exact,
            "replaced": high,
            "elpd": np.where(high, exact, psis),
        }
    )


def crosscheck(
    estimates_pooled: pd.DataFrame,
    estimates_studies: pd.DataFrame,
    exact: Posterior,
    *,
    effect: str = "mu",
) -> pd.DataFrame:
    """Posterior means of an MCMC run against the exact ones.

    Args:
        estimates_pooled, estimates_studies: tables of the run with `quantity`, `mean`, `mcse`; rows of the
            second in the order of the studies of `exact`.
        exact: the posterior of the same data and priors (one data set).
        effect: what the tables call the effect on the scale of analysis: `log_rr`, `log_or`, ...; its
            predictive is `<effect>_new`.

    Returns:
        `quantity`, `study` (position, <NA> for pooled ones), `mcmc_mean`, `mcse`, `exact_mean`,
        `z` (difference
        in MCSE), for mu, tau, theta_new, i2 and theta where the tables have them. The largest |z| is
        `table["z"].abs().max()`.

    Raises:
        ValueError: no quantity in common, or another number of studies.
    """
    found = {effect: exact.mu().mean()[0], "tau": exact.tau.mean()[0]}
    found |= {f"{effect}_new": exact.theta_new().mean()[0], "i2": exact.i2()[0]}
    rows = []
    for name, value in found.items():
        for row in estimates_pooled[estimates_pooled["quantity"] == name].itertuples():
            rows.append((name, pd.NA, row.mean, row.mcse, value))
    studies = estimates_studies[estimates_studies["quantity"] == effect]
    if len(studies) not in (0, exact.yi.shape[1]):
        raise ValueError(f"{len(studies)} studies in the table, {exact.yi.shape[1]} in the exact posterior")
    for i, row in enumerate(studies.itertuples()):
        rows.append((effect, i, row.mean, row.mcse, exact.theta(i).mean()[0]))
    if not rows:
        raise ValueError(f"the tables have none of {list(found)}")
    table = pd.DataFrame(rows, columns=["quantity", "study", "mcmc_mean", "mcse", "exact_mean"])
    table["z"] = (table["mcmc_mean"].astype(float) - table["exact_mean"]) / table["mcse"].astype(float)
    return table


def compare_empirical_bayes(
    yi: np.ndarray, se: np.ndarray, mu_prior: Prior, tau_prior: Prior, interval: float = 0.95
) -> pd.DataFrame:
    """Plug-in posteriors at tau_hat beside the full posterior: what ignoring the uncertainty of tau costs.

    The plug-in ones are N(mu, theta | y, tau = tau_hat) with a flat prior on mu: `classical.empirical_bayes`
    with `sd_mu`, and `classical.pool`.

    Returns:
        Rows for `mu` (`i` is -1) and each study's `theta` (`i` its position), by `method`: `none` (no
        pooling), `ml`, `dl`, `full`. Columns `method`, `quantity`, `i`, `tau` (posterior mean for
        `full`), `centre` (median), `lower`, `upper`, `width` and `width_ratio` (to that of `full`),
        `shrinkage` (B_i).
    """
    yi, se = np.asarray(yi, dtype=float), np.asarray(se, dtype=float)
    z = special.ndtri((1 + interval) / 2)
    exact = posterior(yi, se, mu_prior, tau_prior)
    ends = (0.5, (1 - interval) / 2, (1 + interval) / 2)
    full = exact.studies(interval)
    positions, pooled = np.arange(len(yi)), np.array([-1])
    frames = [_rows("none", np.nan, positions, yi, yi - z * se, yi + z * se, np.zeros(len(yi)))]
    for method in ("ML", "DL"):
        plugin, mu = empirical_bayes(yi, se**2, method, interval), pool(yi, se**2, method, interval)
        columns = (plugin[name] for name in ("theta", "lower_mu", "upper_mu", "shrinkage"))
        frames.append(_rows(method.lower(), mu.tau, positions, *columns))
        limits = (np.array([value]) for value in (mu.mu, mu.lower, mu.upper, np.nan))
        frames.append(_rows(method.lower(), mu.tau, pooled, *limits))
    mean_tau = exact.tau.mean()[0]
    mu = [exact.mu().quantile(p) for p in ends]
    frames.append(
        _rows("full", mean_tau, full["i"], full["median"], full["lower"], full["upper"], full["shrinkage"])
    )
    frames.append(_rows("full", mean_tau, pooled, *mu, np.array([np.nan])))
    table = pd.concat(frames, ignore_index=True)
    table["width"] = table["upper"] - table["lower"]
    whole = table[table["method"] == "full"].set_index("i")["width"]
    table["width_ratio"] = table["width"] / table["i"].map(whole)
    return table


def _rows(method, tau, i, centre, lower, upper, shrinkage) -> pd.DataFrame:
    names = np.where(np.asarray(i) < 0, "mu", "theta")
    return pd.DataFrame(
        {
            "method": method, "quantity": names, "i": np.asarray(i), "tau": tau, "centre": np.asarray(centre),
            "lower": np.asarray(lower), "upper": np.asarray(upper), "shrinkage": np.asarray(shrinkage),
        }
    )  # fmt: skip


def _wide(exact: Posterior, interval: float) -> pd.DataFrame:
    columns = {}
    for name, it in (("mu", exact.mu()), ("tau", exact.tau), ("theta_new", exact.theta_new())):
        columns |= {name: it.mean(), f"{name}_sd": it.sd(), f"{name}_median": it.quantile(0.5)}
        columns[f"{name}_lower"] = it.quantile((1 - interval) / 2)
        columns[f"{name}_upper"] = it.quantile((1 + interval) / 2)
    return pd.DataFrame(columns)
