"""Estimates tables, posterior predictive checks and leave-one-out density of one model."""

import numpy as np

from poolmap.config.load import parse_analysis
from poolmap.dataset import read_dataset
from poolmap.estimates import read_companion, write_estimates
from poolmap.families import door, has_door
from poolmap.files import read_json, whole_folder
from poolmap.inference.posterior import read_posterior
from poolmap.inference.summary import dictionary, summarise
from poolmap.logs import job

wildcards, params = snakemake.wildcards, snakemake.params
title = f"{wildcards.analysis} / {wildcards.model}, estimates"
with job(snakemake.log[0], title):
    spec = parse_analysis(params.spec)
    graph = next(iter(snakemake.input.graph), None)
    data = read_dataset(snakemake.input.data, graph=graph, geometry=spec.has_graph)
    draws = read_posterior(snakemake.input.posterior)
    arguments = (spec, wildcards.model, data, draws, np.random.default_rng(params.seed))
    quantities = door(spec.family, "estimate")(*arguments)
    tables, described = summarise(quantities, spec.interval), dictionary(quantities, spec.interval)
    del quantities  # of ten thousand areas they take a gigabyte
    predictive = door(spec.family, "predictive")(*arguments)
    companions = [read_companion(folder) for folder in snakemake.input.calibration]
    if has_door(spec.family, "companions"):
        companions += door(spec.family, "companions")(spec, wildcards.model, data, tables)
    with whole_folder(snakemake.output.estimates) as folder:
        write_estimates(
            folder,
            tables,
            described,
            predictive,
            read_json(snakemake.input.checks),
            spec.interval,
            companions=companions,
            refits=read_json(snakemake.input.left_out),
            polygons=data.geometry,
        )
