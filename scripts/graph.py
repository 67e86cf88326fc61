"""Build the adjacency graph of one analysis's areas, and draw it."""

from poolmap.config.load import parse_analysis
from poolmap.dataset import read_dataset, write_graph
from poolmap.figures.graph_map import draw_graph
from poolmap.figures.style import save_figure
from poolmap.files import whole_folder
from poolmap.graph.adjacency import analysis_graph
from poolmap.logs import job

with job(snakemake.log[0], f"{snakemake.wildcards.analysis}, graph") as log:
    spec = parse_analysis(snakemake.params.spec)
    polygons = read_dataset(snakemake.input.data, geometry=True).geometry
    geometry, graph = analysis_graph(spec, polygons)
    log.info("%d areas, %d edges, %d islands", graph.n, len(graph.edges), len(graph.islands))
    with whole_folder(snakemake.output.graph) as folder:
        write_graph(graph, folder)
        save_figure(draw_graph(geometry.frame, graph), folder / "graph")
