"""NAS-Bench-201: one cell of six edges, repeated, with one of five operations on every edge.

Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search, ICLR 2020. The network
around the cells is the paper's: a stem of 16 channels, three stages of equal cells with 16, 32 and 64 channels, and
a residual block of stride 2 between stages. The six operations are all its parameters: 5^6 = 15,625 assignments.

The paper computes an edge without operation as zeros that are added. Here such an edge is no part of the network,
nor is anything that only such edges reach; assignments whose cell does not reach its output are ruled out.
"""

from hannah_hw import CategoricalParameter, ChoiceOp, Tensor, scope, search_space
from hannah_hw.blocks import batch_norm, conv2d, linear
from hannah_hw.expressions import If
from hannah_hw.operators import AdaptiveAvgPooling, Add, AvgPooling, Identity, Relu

OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


@scope
def edge(x, activated, operation):
    """An operation on a node of the cell; convolutions take the node after its ReLU."""
    channels = x.shape()[1]
    options = [
        Identity()(x),
        batch_norm(conv2d(activated, channels)),
        batch_norm(conv2d(activated, channels, 3)),
        AvgPooling(3)(x),
    ]
    switch = 0
    for index, name in enumerate(OPERATIONS[1:]):
        switch = If(operation == name, index, switch)
    return ChoiceOp(*options, switch=switch)()


@scope
def sum_of(values, present):
    """The sum of those values that are present, 1, rather than absent, 0; there must be one."""
    if len(values) == 1:
        return values[0]
    options = []
    for subset in range(1, 1 << len(values)):
        chosen = [value for index, value in enumerate(values) if subset >> index & 1]
        options.append(Add()(*chosen) if len(chosen) > 1 else chosen[0])
    subset = sum(flag * (1 << index) for index, flag in enumerate(present))
    return ChoiceOp(*options, switch=subset - 1)()


@scope
def cell(x, operations):
    """Four nodes, each the sum of the edges from all nodes before it."""
    nodes, reached = [(x, Relu()(x))], [1]
    for target in range(1, 4):
        edges, present = [], []
        for source, (value, activated) in enumerate(nodes):
            operation = operations[source, target]
            edges.append(edge(value, activated, operation))
            present.append(If(operation == "none", 0, reached[source]))
        x = sum_of(edges, present)
        nodes.append((x, Relu()(x)))
        reached.append(If(sum(present) > 0, 1, 0))
    return x.cond(reached[-1] == 1, "no edges lead from the input of the cell to its output")


@scope
def reduction(x, out_channels):
    """A residual block that halves the resolution."""
    main = batch_norm(conv2d(Relu()(x), out_channels, 3, stride=2))
    main = batch_norm(conv2d(Relu()(main), out_channels, 3))
    pooled = AvgPooling(2, stride=2, padding="same")(x)
    return Add()(conv2d(pooled, out_channels), main)


@search_space
def nas_bench_201(input_shape=(3, 32, 32), classes=10, cells=5, channels=16):
    """The space; a stage has ``cells`` cells, and the first stage ``channels`` channels."""
    operations = {
        (source, target): CategoricalParameter(
            OPERATIONS, name=f"edge_{source}_{target}", default="nor_conv_3x3"
        )
        for target in range(1, 4)
        for source in range(target)
    }
    x = Tensor("input", (1, *input_shape), axis=("N", "C", "H", "W"))
    x = batch_norm(conv2d(x, channels, 3))
    for stage in range(3):
        if stage:
            x = reduction(x, channels << stage)
        for _ in range(cells):
            x = cell(x, operations)
    return linear(AdaptiveAvgPooling(1)(Relu()(batch_norm(x))), classes)
