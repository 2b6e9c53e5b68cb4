"""ForwardGNN by virtual nodes (FF-VN): forward-forward on graphs, with the class as an edge.

Park et al., "Forward Learning of Graph Neural Networks", ICLR 2024, arXiv 2403.11004, section 3.1, eq. 5, Algorithm 1.
In the positive graph G+ a training node is joined to the virtual node of its class, in a negative graph G-(m) to that
of a wrong class; layer l is trained to its early stop:

    h_l = relu(conv_l(rownorm(h_{l-1}), G)),   g_i = sum_d h_id^2,   h_{l-1} always that of G+

    L_l = mean softplus(theta - g_i+) + 1/M sum_m mean softplus(g_i-(m) - theta),   over the training nodes

    L_l = 1/M sum_m mean softplus(-alpha (g_i+ - g_i-(m)))   (``goodness_loss = symba``, arXiv 2303.08418)

============  ====================  ===========================================================
symbol        attribute             shape
============  ====================  ===========================================================
conv_l        ``blocks[l]``         a layer of net ``gnn``
wrong         ``offsets``           (M, N + K), which wrong class negative m shows; drawn once
============  ====================  ===========================================================

Task: classification of nodes.
Shapes: ``batch.x (N + K, F)``, ``batch.y (B,)`` -> goodness of each class ``(B, K)``.
A prediction joins all nodes to be classified to the same candidate class at once, and the known ones to theirs: those
of the training part, and in a test those of the validation part too, which SF never reads.
It adds means over d, not sums: layers of unequal widths count alike.
Differences from the paper: biases do not decay; each stream's gradient is added up on its own, the same step in memory
that does not grow with K.
Costs: M + 1 forward passes a step, with symba M + 2, K a prediction; one sparse matrix a stream and a candidate class.
"""

from torch import Tensor

from bpfree.errors import InputError
from bpfree.graphs.graph import Graph
from bpfree.rules.graphs._goodness import GraphGoodness
from bpfree.rules.graphs._greedy import PROTOCOL
from bpfree.training.trainer import Batch


class ForwardGNNVirtualNodes(GraphGoodness):
    """Forward-forward on graphs: the class is an edge to a virtual node."""

    # by the paper's tables poor with a GCN on every graph, and strong with SAGE
    prefer = {**PROTOCOL, "virtual_nodes": True, "conv": "sage"}

    def stream(self, batch: Batch, m: int) -> tuple[Tensor, Graph]:
        graph = self.checked(batch.graph)
        return batch.x, graph.made(("stream", m), lambda: graph.joined(self.shown(graph, m)))

    def candidate(self, batch: Batch, c: int) -> tuple[Tensor, Graph]:
        return batch.x, self.checked(batch.graph).joined(self.guessed(batch, c))

    def checked(self, graph: Graph) -> Graph:
        if not graph.classes or graph.sampled:
            raise InputError("forward-gnn-ff-vn needs virtual_nodes = true and the whole graph: leave out sample")
        return graph
