"""Greedy layers need no more memory when there are more of them; forward-forward none for more classes."""

from small import digits, loop_of, make, on_graph, ready

from bpfree.training.data import Data
from bpfree.training.memory import LiveMemory


def peak_bytes(algo: str, data: Data, depth: int, **values) -> int:
    """Live memory of a second step of the last layer."""
    trainer = make(algo, net="gnn", hidden=(64,) * depth, **values)
    loop = loop_of(trainer, data)
    batch = ready(loop)
    loop.learn(batch)
    loop.cursor.steps += 1
    with LiveMemory() as memory:
        loop.learn(batch)
    return memory.peak


def test_live_memory_of_a_greedy_step_does_not_grow_with_depth():
    data = digits(200, 50, 50, pool=4)
    for algo in ("forward-gnn", "forward-gnn-ff-la", "forward-gnn-ff-vn"):
        for reuse in (True, False):
            found = [peak_bytes(algo, data, depth, reuse=reuse) for depth in (2, 8)]
            assert found[1] <= 1.05 * found[0], (algo, reuse)


def test_live_memory_of_forward_forward_does_not_grow_with_the_classes():
    """Ten classes against three, over the same nodes: the streams run one after another."""
    ten = on_graph(digits(200, 50, 50, pool=4))
    few = on_graph(digits(200, 50, 50, pool=4))
    few.train.graph.labels.remainder_(3)
    few.spec = type(few.spec)(**{**few.spec.__dict__, "classes": 3})
    found = [peak_bytes("forward-gnn-ff-la", data, 1, reuse=False) for data in (few, ten)]
    appended = 300 * 7 * 4  # ten classes append seven columns more to 300 nodes
    assert found[1] <= found[0] + 4 * appended
