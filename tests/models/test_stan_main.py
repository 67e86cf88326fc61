"""poolmap's main program for Stan, through cmdstanpy: every call that the project makes, with its numbers."""

from __future__ import annotations

import csv
import logging
import shlex
import signal
import subprocess
import time
from pathlib import Path

import arviz as az
import cmdstanpy
import numpy as np
import pytest

from poolmap.stan import toolchain as tools
from poolmap.stan.compile import compile_program

HERE = Path(__file__).parent
PROGRAM = HERE / "eight_schools.stan"

# Rubin (1981), as in Bayesian Data Analysis, table 5.2
SCHOOLS = {
    "J": 8,
    "y": [28, 8, -3, 7, -1, 1, 18, 12],
    "sigma": [15, 10, 16, 11, 9, 11, 10, 18],
}
# posteriordb, eight_schools-eight_schools_noncentered, commit 28f8d3d: (mean, sd) of 10,000 reference draws
REFERENCE = {"mu": (4.410518, 3.309296), "tau": (3.60206, 3.198478)}
REFERENCE_DRAWS = 10_000

QUIET = {"data": SCHOOLS, "show_progress": False}
SHORT = QUIET | {"iter_warmup": 200, "iter_sampling": 100}


@pytest.fixture(scope="module", autouse=True)
def quiet_cmdstanpy():
    logger = logging.getLogger("cmdstanpy")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


@pytest.fixture(scope="module")
def model(compiled):
    return compiled(PROGRAM, [HERE])


@pytest.fixture(scope="module")
def fit(model):
    return model.sample(
        **QUIET, seed=1, chains=4, parallel_chains=2, adapt_delta=0.95, iter_sampling=2000, sig_figs=17
    )


@pytest.fixture(scope="module")
def mode(model):
    return model.optimize(data=SCHOOLS, seed=1, jacobian=True, sig_figs=17)


def log_density(mu, log_tau, theta_raw, *, jacobian=True):
    """The program's log density as Stan defines it: constants dropped, on the unconstrained scale."""
    tau = np.exp(log_tau)
    z = (np.array(SCHOOLS["y"]) - mu - tau * np.asarray(theta_raw)) / np.array(SCHOOLS["sigma"])
    prior = -0.5 * (mu / 5) ** 2 - np.log1p((tau / 5) ** 2) - 0.5 * np.sum(np.square(theta_raw))
    return prior - 0.5 * np.sum(z**2) + (log_tau if jacobian else 0)


def posterior(fit):
    return az.from_cmdstanpy(fit, log_likelihood="log_lik", posterior_predictive="y_rep")


def assert_reference_posterior(fit):
    """Means and sds within four Monte Carlo standard errors (theirs and ours together) of posteriordb."""
    draws = posterior(fit).posterior
    for name, (mean, sd) in REFERENCE.items():
        error = np.hypot(float(az.mcse(draws[name])[name]), sd / np.sqrt(REFERENCE_DRAWS))
        assert abs(float(draws[name].mean()) - mean) < 4 * error
        error_sd = np.hypot(float(az.mcse(draws[name], method="sd")[name]), sd / np.sqrt(REFERENCE_DRAWS))
        assert abs(float(draws[name].std()) - sd) < 4 * error_sd


def draws_only(path):
    return [line for line in Path(path).read_text().splitlines() if not line.startswith("#")]


# ---- sampling --------------------------------------------------------------------------------------------


def test_nuts_gives_the_reference_posterior(fit):
    assert fit.draws().shape == (2000, 4, 7 + 2 + 8 + 8 + 8 + 8)
    assert fit.metric_type == "diag_e"
    assert fit.inv_metric.shape == (4, 10)
    assert (fit.step_size > 0).all()
    assert all(seconds["total"] >= 0 for seconds in fit.time)
    assert_reference_posterior(fit)


def test_arviz_reads_every_group(fit):
    data = posterior(fit)
    assert {"posterior", "sample_stats", "log_likelihood", "posterior_predictive"} <= set(data.groups())
    assert (az.rhat(data, var_names=["mu", "tau"]) < 1.01).to_array().all()
    assert int(data.sample_stats.diverging.sum()) == fit.divergences.sum()
    assert float(az.loo(data).elpd_loo) == pytest.approx(-30.7, abs=0.5)  # Vehtari, Gelman, Gabry (2017)


def test_same_seed_same_bytes_and_another_seed_others(model):
    runs = [model.sample(**SHORT, seed=seed, chains=2).runset.csv_files for seed in (7, 7, 8)]
    first, again, other = ([draws_only(path) for path in files] for files in runs)
    assert first == again
    assert first != other
    assert first[0] != first[1]


def test_dense_metric(model):
    fit = model.sample(**QUIET, seed=3, chains=2, metric="dense_e", adapt_delta=0.95, iter_sampling=1000)
    assert fit.metric_type == "dense_e"
    assert fit.inv_metric.shape == (2, 10, 10)
    np.testing.assert_allclose(fit.inv_metric, fit.inv_metric.transpose(0, 2, 1))
    assert_reference_posterior(fit)


def test_saved_warmup_and_thinning(model):
    fit = model.sample(**SHORT, seed=1, chains=2, save_warmup=True, thin=3, max_treedepth=6)
    assert fit.draws().shape[:2] == (34, 2)
    assert fit.draws(inc_warmup=True).shape[:2] == (67 + 34, 2)
    assert fit.method_variables()["treedepth__"].max() <= 6


@pytest.mark.parametrize("given", ["dicts", "number", "file"])
def test_inits_are_where_the_chains_start(model, tmp_path, given):
    values = {"mu": 1.5, "tau": 2.0, "theta_raw": [0.25] * 8}
    file = tmp_path / "inits.json"
    cmdstanpy.write_stan_json(str(file), values)
    inits = {"dicts": [values, values], "number": 0, "file": str(file)}[given]
    expected = (0.0, 1.0, 0.0) if given == "number" else (1.5, 2.0, 0.25)
    # a step too small to move: the first draw is the init
    still = {"step_size": 1e-12, "max_treedepth": 1, "adapt_engaged": False, "iter_warmup": 0}
    fit = model.sample(**QUIET, seed=1, chains=2, inits=inits, iter_sampling=1, **still)
    for name, value in zip(("mu", "tau", "theta_raw"), expected, strict=True):
        np.testing.assert_allclose(fit.stan_variable(name), value, atol=1e-5)


def test_metric_and_step_size_without_adaptation_stay_as_given(model, fit):
    metrics = [fit.inv_metric[0], {"inv_metric": fit.inv_metric[1]}]
    fixed = model.sample(**SHORT, seed=1, chains=2, inv_metric=metrics, step_size=0.3, adapt_engaged=False)
    np.testing.assert_allclose(fixed.inv_metric, fit.inv_metric[:2], rtol=1e-5)
    np.testing.assert_array_equal(fixed.step_size, 0.3)


@pytest.mark.parametrize("options", ["defaults", "dense, inits and metrics"])
def test_chains_of_one_process_are_those_of_separate_processes(model, options):
    more = {}
    if options != "defaults":
        rng = np.random.default_rng(1)
        scales = [np.diag(rng.uniform(0.5, 2, 10)) for _ in range(2)]
        more = {"inits": [{"mu": 1.0}, {"mu": -2.0}], "metric": "dense_e", "inv_metric": scales}
    else:
        more = {"chain_ids": 3}
    together = model.sample(**SHORT, seed=1, chains=2, force_one_process_per_chain=False, **more)
    apart = model.sample(**SHORT, seed=1, chains=2, force_one_process_per_chain=True, **more)
    for one, other in zip(together.runset.csv_files, apart.runset.csv_files, strict=True):
        assert draws_only(one) == draws_only(other)


def test_fixed_param_moves_nothing(model):
    fit = model.sample(
        **QUIET, seed=1, chains=2, fixed_param=True, iter_sampling=20, inits={"mu": 1, "tau": 1}
    )
    assert fit.draws().shape[:2] == (20, 2)
    np.testing.assert_array_equal(fit.stan_variable("mu"), 1)
    assert np.unique(fit.stan_variable("y_rep")).size > 100


def test_progress_lines(model):
    fit = model.sample(data=SCHOOLS, seed=1, chains=1, show_progress=True, refresh=50, iter_sampling=100)
    console = Path(fit.runset.stdout_files[0]).read_text()
    assert "Iteration:  900 / 1100 [ 81%]  (Warmup)" in console
    assert "(Sampling)" in console


# ---- approximations --------------------------------------------------------------------------------------


def test_optimisation_finds_where_the_gradient_vanishes(model, mode):
    assert mode.converged
    values = {name: mode.stan_variable(name) for name in ("mu", "tau", "theta_raw")}
    gradient = model.log_prob(values, data=SCHOOLS, sig_figs=17).iloc[0, 1:]
    assert np.abs(gradient).max() < 1e-3


def test_optimisation_settings_and_iterations(model):
    fit = model.optimize(
        data=SCHOOLS, seed=1, inits={"mu": 1.0, "tau": 3.0}, jacobian=True, tol_rel_obj=100,
        algorithm="lbfgs", history_size=8, save_iterations=True,
    )  # fmt: skip
    path = fit.optimized_iterations_np
    assert path.shape[0] > 2
    assert np.all(np.diff(path[:, 0]) >= 0)


def test_laplace_is_centred_on_the_mode(model, mode):
    fit = model.laplace_sample(data=SCHOOLS, mode=mode, seed=1, draws=4000, sig_figs=17)
    assert fit.draws().shape[0] == 4000
    mu, log_tau = fit.stan_variable("mu"), np.log(fit.stan_variable("tau"))
    for draws, centre in ((mu, mode.stan_variable("mu")), (log_tau, np.log(mode.stan_variable("tau")))):
        assert abs(draws.mean() - centre) < 4 * draws.std() / np.sqrt(4000)
    # its log densities are the program's own, up to one constant
    ours = [log_density(m, t, r) for m, t, r in zip(mu, log_tau, fit.stan_variable("theta_raw"), strict=True)]
    np.testing.assert_allclose(np.diff(ours), np.diff(fit.method_variables()["log_p__"]), atol=1e-9)


def test_laplace_finds_its_own_mode(model, mode):
    fit = model.laplace_sample(data=SCHOOLS, seed=1, draws=50, opt_args={"algorithm": "lbfgs"})
    assert fit.mode.stan_variable("mu") == pytest.approx(mode.stan_variable("mu"), abs=0.01)


def test_laplace_without_the_jacobian(model, mode, tmp_path):
    # cmdstanpy wants a mode found without it, which this posterior lacks (tau -> 0); the Hessian is the same
    data = tmp_path / "data.json"
    cmdstanpy.write_stan_json(str(data), SCHOOLS)
    words = ["laplace", f"mode={mode.runset.csv_files[0]}", "jacobian=0", "draws=50", "data", f"file={data}"]
    words += ["random", "seed=1", "output", "file=out.csv", "sig_figs=17"]
    assert run(model, *words, cwd=tmp_path).returncode == 0
    names, *rows = csv.reader(draws_only(tmp_path / "out.csv"))
    draws = np.array(rows, float)
    assert draws.shape == (50, len(names))
    theta_raw = draws[:, [names.index(f"theta_raw.{j}") for j in range(1, 9)]]
    mu, log_tau = draws[:, names.index("mu")], np.log(draws[:, names.index("tau")])
    ours = [log_density(*each, jacobian=False) for each in zip(mu, log_tau, theta_raw, strict=True)]
    np.testing.assert_allclose(np.diff(ours), np.diff(draws[:, names.index("log_p__")]), atol=1e-9)


def test_pathfinder_and_the_inits_it_gives(model):
    found = model.pathfinder(data=SCHOOLS, seed=1, num_paths=4, draws=500)
    assert found.is_resampled
    assert found.draws().shape[0] == 500
    assert abs(found.stan_variable("mu").mean() - REFERENCE["mu"][0]) < REFERENCE["mu"][1]
    fit = model.sample(**QUIET, seed=2, chains=4, inits=found.create_inits(seed=1), adapt_delta=0.95)
    assert_reference_posterior(fit)


def test_pathfinder_with_one_path_and_without_resampling(model):
    one = model.pathfinder(data=SCHOOLS, seed=1, num_paths=1, draws=60)
    assert one.draws().shape[0] == 60
    assert not one.is_resampled
    inits = [{"mu": 1.0}, {"mu": 2.0}]
    raw = model.pathfinder(
        data=SCHOOLS, seed=1, num_paths=2, num_single_draws=50, psis_resample=False, inits=inits
    )  # fmt: skip
    assert raw.draws().shape[0] == 100
    assert not raw.is_resampled
    assert set(raw.method_variables()["path__"]) == {1, 2}
    assert sorted(raw.draws()[:, 0]) == sorted(set(raw.draws()[:, 0]))
    no_lp = model.pathfinder(data=SCHOOLS, seed=1, num_paths=2, draws=50, calculate_lp=False)
    assert np.isnan(no_lp.method_variables()["lp__"]).any()


# ---- what is computed from draws -------------------------------------------------------------------------


def test_generated_quantities_with_one_seed_a_chain(model, fit):
    made = model.generate_quantities(data=SCHOOLS, previous_fit=fit, seed=[11, 12, 13, 14], sig_figs=17)
    np.testing.assert_allclose(made.stan_variable("log_lik"), fit.stan_variable("log_lik"), rtol=1e-12)
    noise = made.draws_xr("y_rep", inc_sample=False).y_rep - fit.draws_xr("theta").theta.values
    z = (noise / np.array(SCHOOLS["sigma"])).values
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * z.size)
    between = np.corrcoef(z.reshape(4, -1))[np.triu_indices(4, 1)]
    assert np.abs(between).max() < 4 / np.sqrt(z[0].size)


def test_generated_quantities_from_an_estimate(model, mode):
    made = model.generate_quantities(data=SCHOOLS, previous_fit=mode, seed=3)
    assert made.stan_variable("y_rep").shape[-1] == 8


@pytest.mark.parametrize("jacobian", [True, False])
def test_log_prob_and_its_gradient(model, jacobian):
    point = np.array([1.0, np.log(2.0), *np.linspace(-1, 1, 8)])
    values = {"mu": 1.0, "tau": 2.0, "theta_raw": list(point[2:])}
    row = model.log_prob(values, data=SCHOOLS, jacobian=jacobian, sig_figs=17).iloc[0]

    def density(x):
        return log_density(x[0], x[1], x[2:], jacobian=jacobian)

    assert row["lp__"] == pytest.approx(density(point), rel=1e-12)
    steps = 1e-5 * np.eye(point.size)
    numeric = [(density(point + step) - density(point - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(row.iloc[1:].to_numpy(float), numeric, rtol=1e-7, atol=1e-8)


def test_fits_are_read_back_from_their_files(fit, model, mode):
    again = cmdstanpy.from_csv(fit.runset.csv_files)
    np.testing.assert_array_equal(again.draws(), fit.draws())
    assert again.metadata.cmdstan_config["num_samples"] == 2000
    assert again.metadata.cmdstan_config["seed"] == 1
    assert again.metadata.cmdstan_config["stan_version_minor"] == int(tools.STAN_VERSION.split(".")[1])


# ---- the command line ------------------------------------------------------------------------------------


def run(model, *words, **options):
    return subprocess.run([model.exe_file, *words], capture_output=True, text=True, check=False, **options)


def test_info(model):
    info = model.exe_info()
    version = ".".join(info[f"stan_version_{part}"] for part in ("major", "minor", "patch"))
    assert version == tools.STAN_VERSION
    assert info["STAN_THREADS"] == "false"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "num_sample=10"], "num_sample=10"),
        (["sample", "num_samples=ten"], '"ten" is not a valid value for "num_samples"'),
        (["sample", "num_samples=-1"], '"-1" is not a valid value for "num_samples"'),
        (["method=variational"], '"variational" is not a valid value for "method"'),
        (["sample", "adapt", "engaged=maybe"], '"maybe" is not a valid value for "engaged"'),
        (["sample", "thin"], '"thin" is either mistyped or misplaced'),
        (["sample", "data", "file=absent.json"], "absent.json"),
        (["optimize", "num_samples=10"], "num_samples=10"),
        (["generate_quantities", "fitted_params=absent.csv"], "absent.csv"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(model, tmp_path, words, message):
    data = tmp_path / "data.json"
    cmdstanpy.write_stan_json(str(data), SCHOOLS)
    if "data" not in words:
        words = [*words, "data", f"file={data}"]
    answer = run(model, *words, cwd=tmp_path)
    assert answer.returncode == 1
    assert message in answer.stderr


def test_bad_data_are_named(model):
    with pytest.raises(RuntimeError, match="sigma") as caught:
        model.sample(**QUIET | {"data": {"J": 8, "y": SCHOOLS["y"], "sigma": [1.0] * 7}}, seed=1, chains=1)
    assert "dims" in str(caught.value)


def test_runtime_errors_name_the_program_and_the_line(model, tmp_path):
    data = tmp_path / "data.json"
    cmdstanpy.write_stan_json(str(data), SCHOOLS | {"sigma": [-1.0] * 8})
    answer = run(model, "sample", "data", f"file={data}", cwd=tmp_path)
    assert answer.returncode == 1
    assert "sigma[1] is -1" in answer.stderr
    assert "'eight_schools.stan', line 15" in answer.stderr


def test_a_run_that_is_terminated_is_not_taken_for_whole(model, tmp_path):
    data = tmp_path / "data.json"
    cmdstanpy.write_stan_json(str(data), SCHOOLS)
    words = ["sample", "num_samples=100000000", "data", f"file={data}", "output", "file=draws.csv"]
    process = subprocess.Popen([model.exe_file, *words], cwd=tmp_path, stdout=subprocess.DEVNULL)
    draws = tmp_path / "draws.csv"
    deadline = time.monotonic() + 30
    while not (draws.exists() and draws.stat().st_size > 50_000) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == -signal.SIGTERM
    with pytest.raises(ValueError):
        cmdstanpy.from_csv(str(draws))


# ---- an installed CmdStan --------------------------------------------------------------------------------


@pytest.fixture
def cmdstan(tmp_path):
    """A stand-in for an installed CmdStan: its makefile does with make what poolmap does with the wheel."""
    wheel = tools.prepare_toolchain()
    folder = tmp_path / "cmdstan"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "stanc").symlink_to(wheel.stanc)
    flags = shlex.join(
        ["-std=c++17", "-DBOOST_DISABLE_ASSERTS", "-D_REENTRANT", "-w", *tools.include_flags(wheel)]
    )
    main, libraries = tools.main_object(wheel, False), shlex.join(tools.link_flags(wheel))
    (folder / "makefile").write_text(
        f"CMDSTAN_VERSION := {tools.STAN_VERSION}\n"
        "O ?= 3\n"
        "%: %.stan\n"
        "\tbin/stanc $(STANCFLAGS) --o=$@.hpp $<\n"
        f"\t$(CXX) {flags} -O$(O) $(if $(USER_HEADER),-include $(USER_HEADER)) -x c++ -c $@.hpp -o $@.o\n"
        f"\t$(CXX) $@.o {shlex.quote(str(main))} {libraries} -o $@\n"
    )
    return folder


def test_an_installed_cmdstan_is_preferred_and_gives_the_same_draws(model, cmdstan, tmp_path, monkeypatch):
    monkeypatch.setenv("CMDSTAN", str(cmdstan))
    monkeypatch.setenv("POOLMAP_CACHE", str(tmp_path / "another cache"))
    project = tmp_path / "a project, with spaces"
    (project / "stan" / "functions").mkdir(parents=True)
    for file in (PROGRAM, HERE / "functions" / "school_effects.stanfunctions"):
        (project / "stan" / file.relative_to(HERE)).write_text(file.read_text())
    program = project / "stan" / PROGRAM.name
    built = compile_program(program, include_paths=[project / "stan"])
    assert tools.find_toolchain().kind == "cmdstan"
    assert built.executable.is_relative_to(tmp_path / "another cache")
    other = cmdstanpy.CmdStanModel(exe_file=built.executable)
    fits = [each.sample(**SHORT, seed=5, chains=1) for each in (model, other)]
    one, two = (draws_only(fit.runset.csv_files[0]) for fit in fits)
    assert one == two
