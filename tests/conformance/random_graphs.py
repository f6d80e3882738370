"""Random small graphs over all operators.

A graph grows node by node: each takes values that there are already, so that values are shared, views stand between
everything, and parts of it lead nowhere. Numbers are plain, parameters (also shared ones) or expressions of them; what
does not fit is refused with a `SpaceError` and left out.
"""

from functools import partial

import hannah_hw.operators as operators
from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    IntScalarParameter,
    Tensor,
    dynamic_depth,
    lazy,
    search_space,
)
from hannah_hw.errors import SpaceError
from hannah_hw.expressions import If, Int, Max, Min

#: Most values of a node, by the defaults of parameters.
MOST_ELEMENTS = 2000


class Graph:
    """Values that further nodes can take.

    Args:
        random: A `random.Random`.

    Attributes:
        values: Nodes with data.
        kernels: Weights of layers.
        parameters: Parameters in the order in which they were made.
    """

    def __init__(self, random):
        self.random = random
        self.values = []
        self.kernels = []
        self.parameters = []

    def pick(self, *options):
        return self.random.choice(options)

    def integer(self, low, high):
        return self.random.randint(low, high)

    def shuffled(self, items):
        items = list(items)
        self.random.shuffle(items)
        return items

    def parameter(self, low, high):
        name = f"p{len(self.parameters)}"
        if self.pick(True, False):
            result = IntScalarParameter(low, high, name=name, default=self.integer(low, high))
        else:
            result = CategoricalParameter([high, low] if low < high else [low], name=name)
        self.parameters.append(result)
        return result

    def number(self, low, high):
        """A number, mostly within bounds."""
        kind = self.integer(0, 9)
        if kind < 5:
            return self.integer(low, high)
        if kind < 8 or not self.parameters:
            return self.parameter(low, high)
        old = self.pick(*self.parameters)
        return self.pick(
            old,
            Min(Max(old, low), high),
            If(old == old.levels[0], high, low),
            old % (high - low + 1) + low,
            Int(old * 0.5) + low,
        )

    def numbers(self, rank, low, high):
        """One number for all dimensions, or one each."""
        if self.pick(True, False):
            return self.number(low, high)
        return tuple(self.number(low, high) for _ in range(rank))

    def weight(self, name, *shape, grad=True, bits=None):
        return Tensor(name, shape, grad=grad, bits=bits)

    def kernel(self, *shape):
        """The weight of a layer, sometimes with bits, sometimes that of an earlier layer."""
        alike = [w for w in self.kernels if len(w.shape()) == len(shape) and lazy(w.shape()) == lazy(shape)]
        if alike and self.pick(True, False):
            return self.pick(*alike)
        widths = (1, 2, 3, 4, 8, 16, 32)
        bits = self.pick(None, None, None, *widths, "parameter")
        if bits == "parameter":
            bits = CategoricalParameter(widths, name=f"p{len(self.parameters)}")
            self.parameters.append(bits)
        result = self.weight("weight", *shape, bits=bits)
        self.kernels.append(result)
        return result

    def bias(self, size):
        return [self.weight("bias", size)] if self.pick(True, False) else []

    def like(self, x):
        """Another value of the same shape, as far as the defaults go; x itself where there is none."""
        shape = lazy(x.shape())
        alike = [v for v in self.values if len(v.shape()) == len(shape) and lazy(v.shape()) == shape]
        return self.pick(*alike, operators.Sigmoid()(x))

    def of_rank(self, rank):
        return [v for v in self.values if len(v.shape()) == rank]

    def grow(self):
        """One more value, or None where it is refused."""
        x = self.values[-1] if self.pick(True, True, False) else self.pick(*self.values)
        build = self.pick(
            *ANY, *(SPATIAL if rank_of(x) in (1, 2) else []), *([matmul] if rank_of(x) > 0 else [])
        )
        try:
            node = build(self, x)
            elements = 1
            for size in lazy(node.shape()):
                elements *= size
        except SpaceError:
            return None
        if not 0 < elements <= MOST_ELEMENTS or len(node.shape()) < 2:
            return None
        self.values.append(node)
        return node


def rank_of(x):
    return len(x.shape()) - 2


def padding(g, rank):
    return g.pick(
        None,
        None,
        "same",
        "valid",
        g.number(0, 2),
        g.numbers(rank, 0, 1),
        tuple(g.number(0, 1) for _ in range(2 * rank)),
    )


def convolution(g, x):
    rank, channels = rank_of(x), x.shape()[1]
    groups = g.pick(1, 1, 1, 2, channels)
    per_group = 1 if groups is channels else channels // groups
    out = g.number(1, 4) * groups if groups != 1 else g.number(1, 4)
    kind = operators.Conv1d if rank == 1 else operators.Conv2d
    op = kind(g.numbers(rank, 1, 2), g.numbers(rank, 1, 2), groups, padding(g, rank))
    weight = g.kernel(out, per_group, *(g.number(1, 3) for _ in range(rank)))
    return op(x, weight, *g.bias(weight.shape()[0]))


def transposed(g, x):
    rank, channels = rank_of(x), x.shape()[1]
    groups = g.pick(1, 1, 2, channels)
    kind = operators.ConvTranspose1d if rank == 1 else operators.ConvTranspose2d
    side = g.pick(0, g.number(0, 1), tuple(g.number(0, 1) for _ in range(2 * rank)))
    op = kind(g.numbers(rank, 1, 2), side, g.numbers(rank, 0, 1), g.numbers(rank, 1, 2), groups)
    weight = g.kernel(channels, g.number(1, 3), *(g.number(1, 3) for _ in range(rank)))
    return op(x, weight, *g.bias(weight.shape()[1] * groups))


def linear(g, x):
    features = 1
    for size in x.shape()[1:]:
        features = features * size
    weight = g.kernel(features, g.number(1, 5))
    return operators.Linear()(x, weight, *g.bias(weight.shape()[1]))


def pooling(kind, g, x):
    rank = rank_of(x)
    dilation = 1 if kind is operators.AvgPooling else g.numbers(rank, 1, 2)
    sides = g.pick(None, "same", "valid", 0, 1, tuple(g.number(0, 1) for _ in range(2 * rank)))
    return kind(g.numbers(rank, 1, 3), g.numbers(rank, 1, 2), dilation, sides)(x)


def adaptive(g, x):
    return operators.AdaptiveAvgPooling(g.pick(1, 1, g.numbers(rank_of(x), 1, 3)))(x)


def batch_norm(g, x):
    names = {"running_mean": False, "running_var": False}
    names |= {"weight": True, "bias": True} if g.pick(True, False) else {}
    tensors = [g.weight(name, x.shape()[1], grad=grad) for name, grad in names.items()]
    return operators.BatchNorm(g.pick(1e-5, 1e-2))(x, *tensors)


def layer_norm(g, x):
    rank = len(x.shape())
    axis = g.integer(1, rank - 1)
    weights = [g.weight(name, *x.shape()[axis:]) for name in g.pick(("scale",), ("scale", "offset"))]
    # A large epsilon: rows of equal values would magnify their rounding.
    return operators.LayerNorm(g.pick(axis, axis - rank), 0.1)(x, *weights)


def mul(g, x):
    pooled = operators.AdaptiveAvgPooling(1)(x) if rank_of(x) in (1, 2) else x
    return operators.Mul()(x, g.pick(g.like(x), pooled, operators.Flatten()(pooled), *g.values))


def concat(g, x):
    axis = g.integer(1, len(x.shape()) - 1)
    others = [g.pick(g.like(x), *g.of_rank(len(x.shape()))) for _ in range(g.integer(1, 2))]
    return operators.Concat(g.pick(axis, axis - len(x.shape())))(x, *others)


def part(g, x):
    axis = g.integer(1, len(x.shape()) - 1)
    whole = x.shape()[axis]
    begin = g.pick(0, g.number(0, 2))
    return operators.Slice(axis, begin, g.pick(g.number(1, 3), whole - begin))(x)


def permute(g, x):
    return operators.Permute((0, *g.shuffled(range(1, len(x.shape())))))(x)


def reshape(g, x):
    sizes = list(x.shape()[1:])
    kind = g.integer(0, 4)
    if kind == 0:
        sizes.insert(g.integer(0, len(sizes)), 1)
    elif kind == 1 and len(sizes) > 1:
        at = g.integer(0, len(sizes) - 2)
        sizes[at : at + 2] = [sizes[at] * sizes[at + 1]]
    elif kind == 2:
        sizes = [g.pick(*sizes), -1]
    elif kind == 3:
        at, factor = g.integer(0, len(sizes) - 1), g.number(1, 3)
        sizes[at : at + 1] = [sizes[at] // factor, factor]
    else:
        sizes = g.shuffled(sizes)
    if g.pick(True, False) and -1 not in [s for s in sizes if isinstance(s, int)]:
        sizes[g.integer(0, len(sizes) - 1)] = -1
    return operators.Reshape(tuple(sizes))(x)


def matmul(g, x):
    order = [*range(len(x.shape()) - 2), len(x.shape()) - 1, len(x.shape()) - 2]
    other = operators.Permute(order)(x)
    return operators.MatMul()(x, g.pick(other, other, *g.of_rank(len(x.shape()))))


def quantise(g, x):
    signed = g.pick(True, False)
    widths = (2 if signed else 1, 3, 4, 8, 16, 32)
    bits = g.pick(*widths, "parameter")
    if bits == "parameter":
        bits = CategoricalParameter(widths, name=f"p{len(g.parameters)}")
        g.parameters.append(bits)
    kind = g.pick(operators.Quantize, operators.Requantize)
    return kind(bits, signed)(x, g.weight("running_max", 1, grad=False))


def choice(g, x):
    shape = lazy(x.shape())
    alike = [v for v in g.values if len(v.shape()) == len(shape)]
    same = [v for v in alike if lazy(v.shape()) == shape]
    templates = [operators.Identity(), operators.Relu(), operators.HardSwish(), operators.Dropout(0.1)]
    inner = [partial(build, g) for build in (batch_norm, quantise, add)]
    options = [g.pick(*same, *templates, *inner, *alike) for _ in range(g.integer(2, 3))]
    count = len(options)
    if g.pick(True, True, False) or not g.parameters:
        switch = g.pick(None, None, g.integer(0, count - 1))
    else:
        old = g.pick(*g.parameters)
        switch = g.pick(old % count, If(old == old.levels[-1], 0, count - 1), Min(old, count - 1))
    return ChoiceOp(*options, switch=switch)(x)


def depth(g, x):
    shape = lazy(x.shape())
    exits = [v for v in g.values if len(v.shape()) == len(shape) and lazy(v.shape()) == shape]
    return dynamic_depth(*exits[-3:])


def add(g, x):
    return operators.Add()(x, *(g.like(x) for _ in range(g.pick(1, 1, 2))))


def simple(op, _, x):
    return op(x)


SPATIAL = [
    *[convolution] * 6,
    *[transposed] * 2,
    partial(pooling, operators.MaxPooling),
    partial(pooling, operators.AvgPooling),
    *[adaptive] * 2,
    lambda g, x: operators.ZeroPad(g.pick(g.number(0, 2), g.numbers(rank_of(x), 0, 2)))(x),
    lambda g, x: operators.Upsample(g.numbers(rank_of(x), 1, 2), g.pick("nearest", "bilinear"))(x),
]
ANY = [
    linear,
    *[batch_norm] * 3,
    layer_norm,
    mul,
    concat,
    part,
    permute,
    *[reshape] * 2,
    *[quantise] * 3,
    *[choice] * 3,
    depth,
    *[add] * 2,
    lambda g, x: operators.Scale(g.number(1, 4), g.pick(1.0, -0.5, -1.0))(x),
    *(
        partial(simple, op)
        for op in (
            operators.Relu(),
            operators.Relu(),
            operators.Relu6(),
            operators.Sigmoid(),
            operators.HardSigmoid(),
            operators.HardSwish(),
            operators.Softmax(),
            operators.Flatten(),
            operators.Identity(),
            operators.Dropout(0.3),
        )
    ),
]


def random_graph(random, least=3, most=12):
    """The last nodes of a graph.

    Args:
        random: A `random.Random`.
        least: Least number of nodes that are tried.
        most: Most of them.
    """

    @search_space
    def graph():
        g = Graph(random)
        for name in ("x", "y")[: g.pick(1, 1, 2)]:
            sizes = [g.integer(1, 4), *(g.integer(1, 6) for _ in range(g.pick(2, 2, 1, 1, 0)))]
            g.values.append(Tensor(name, (1, *sizes)))
        for _ in range(g.integer(least, most)):
            _ = g.grow() or g.grow()
        return [g.values[-1], *(g.pick(*g.values) for _ in range(g.pick(0, 0, 0, 1, 2)))]

    return graph()
