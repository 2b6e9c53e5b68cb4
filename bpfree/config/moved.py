"""Module names of version 0.1, importable for one more version with a DeprecationWarning: old name -> new name.

Those of ``energy`` that belong to bpfree now are found once bpfree is imported.
"""

from energy.moved import Moved

NAMES = {
    "bpfree.arms": "bpfree.studies.arms",
    "bpfree.batch": "bpfree.training.batch",
    "bpfree.callbacks": (
        "bpfree.training.callbacks",
        "bpfree.runs.probe",
        "bpfree.runs.history_file",
        "bpfree.cli.progress",
    ),
    "bpfree.checkpoint": ("bpfree.training.checkpoint", "bpfree.training.run_folder", "bpfree.training.files"),
    "bpfree.checks": "bpfree.training.contract",
    "bpfree.device": "bpfree.training.device",
    "bpfree.doctor": ("bpfree.cli.doctor", "bpfree.runs.doctor"),
    "bpfree.evaluation": "bpfree.training.evaluation",
    "bpfree.facts": "bpfree.runs.provenance",
    "bpfree.flags": "bpfree.config.flags",
    "bpfree.isolate": "bpfree.studies.workers",
    "bpfree.live": "bpfree.training.memory",
    "bpfree.loop": ("bpfree.training.loop", "bpfree.training.loop_settings", "bpfree.training.windows"),
    "bpfree.model": "bpfree.runs.model",
    "bpfree.monitor": ("bpfree.training.diagnostics", "bpfree.training.early_stopping"),
    "bpfree.outside": "bpfree.training.external",
    "bpfree.owners": (
        "bpfree.training.owners",
        "bpfree.training.optimizers",
        "bpfree.training.transforms",
        "bpfree.training.distributed",
    ),
    "bpfree.registry": ("bpfree.rules", "bpfree.nets"),  # for registry.rule(name), registry.net(name)
    "bpfree.run": ("bpfree.runs.train", "bpfree.runs.plan", "bpfree.runs.meters", "bpfree.runs.recorder"),
    "bpfree.seeds": "bpfree.config.seeds",
    "bpfree.settings": "bpfree.config.settings",
    "bpfree.signals": "bpfree.training.signals",
    "bpfree.streams": "bpfree.training.random_streams",
    "bpfree.trainer": "bpfree.training.trainer",
    "bpfree.data.base": "bpfree.training.data",
    "bpfree.data.cifar": "bpfree.data.images.cifar",
    "bpfree.data.cifar10": "bpfree.data.images.cifar10",
    "bpfree.data.cifar100": "bpfree.data.images.cifar100",
    "bpfree.data.coraml": "bpfree.data.graphs.coraml",
    "bpfree.data.damaged": "bpfree.data.verification",
    "bpfree.data.fashion_mnist": "bpfree.data.images.fashion_mnist",
    "bpfree.data.fetch": "bpfree.data.fetching",
    "bpfree.data.folder": "bpfree.data.images.folder",
    "bpfree.data.fsdd": "bpfree.data.spikes.fsdd",
    "bpfree.data.graph": ("bpfree.data.graphs.reader", "bpfree.data.graphs.raw", "bpfree.data.graphs.source"),
    "bpfree.data.graph_file": "bpfree.data.graphs.graph_file",
    "bpfree.data.hearing": "bpfree.data.spikes.cochlea",
    "bpfree.data.heidelberg": "bpfree.data.spikes.heidelberg",
    "bpfree.data.idx": "bpfree.data.images.idx",
    "bpfree.data.inert": "bpfree.data.safe_pickle",
    "bpfree.data.kmnist": "bpfree.data.images.kmnist",
    "bpfree.data.mnist": "bpfree.data.images.mnist",
    "bpfree.data.network_graphs": "bpfree.data.graphs.network_graphs",
    "bpfree.data.payload": "bpfree.data.verification",
    "bpfree.data.places": "bpfree.data.locations",
    "bpfree.data.planetoid": "bpfree.data.graphs.planetoid",
    "bpfree.data.sounds": "bpfree.data.spikes.sounds",
    "bpfree.data.spike_file": "bpfree.data.spikes.spike_file",
    "bpfree.data.split": "bpfree.data.splits",
    "bpfree.data.vowels": "bpfree.data.tables.vowels",
    "bpfree.functional.graphs": ("bpfree.graphs.graph", "bpfree.graphs.sparse", "bpfree.graphs.memo"),
    "bpfree.functional.transforms": ("bpfree.training.transforms", "bpfree.functional.gradients"),
    "bpfree.rules.forward_gnn": "bpfree.rules.graphs.forward_gnn",
    "bpfree.rules.forward_gnn_ff_la": "bpfree.rules.graphs.forward_gnn_ff_la",
    "bpfree.rules.forward_gnn_ff_vn": "bpfree.rules.graphs.forward_gnn_ff_vn",
    "bpfree.rules.forward_gnn_top_to_input": "bpfree.rules.graphs.forward_gnn_top_to_input",
    "bpfree.rules.forward_gnn_top_to_loss": "bpfree.rules.graphs.forward_gnn_top_to_loss",
    "energy.faults": "bpfree.reports.validity",
    "energy.files": "bpfree.training.files",
    "energy.record": "bpfree.runs.record",
    "energy.report": "bpfree.reports.report",
    "energy.stats": "bpfree.reports.statistics",
    "energy.study": ("bpfree.reports.study", "bpfree.reports.gathering", "bpfree.reports.validity"),
}
FUNCTIONS = {
    "bpfree.compare": "bpfree.studies.compare",
    "bpfree.reproduce": "bpfree.runs.recipes",
    "bpfree.tune": "bpfree.studies.tune",
}


def install() -> None:
    """Make the old names importable."""
    Moved(NAMES, FUNCTIONS).install()
