"""Build the adjacency graph of one analysis's areas, and draw it."""

from poolmap.dataset import read_dataset
from poolmap.figures.graph_map import draw_graph
from poolmap.figures.style import save_figure
from poolmap.files import whole_folder, write_json
from poolmap.graph.adjacency import build_adjacency
from poolmap.logs import job

with job(snakemake.log[0], f"{snakemake.wildcards.analysis}, graph") as log:
    polygons = read_dataset(snakemake.input.data, geometry=True).geometry
    graph = build_adjacency(polygons, snakemake.params.contiguity)
    log.info("%d areas, %d edges, %d islands", graph.n, len(graph.edges), len(graph.islands))
    with whole_folder(snakemake.output.graph) as folder:
        write_json(folder / "graph.json", graph.as_dict())
        save_figure(draw_graph(polygons, graph), folder / "graph")
