"""Equal keys are isomorphic networks: counted by hand-written strings, and by what must and must not count."""

import itertools
import runpy
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import hannah_hw
from hannah_hw import CategoricalParameter, ChoiceOp, Tensor, scope, search_space
from hannah_hw.blocks import batch_norm, conv2d, linear
from hannah_hw.errors import SpaceError
from hannah_hw.graph import Op
from hannah_hw.operators import Add, AvgPooling, Concat, Conv2d, Dropout, Identity, Mul, Relu
from hannah_hw.spaces.space import as_space

MODULE = runpy.run_path(str(Path(__file__).parents[2] / "search_spaces" / "nas_bench_201.py"))
OPERATIONS = MODULE["OPERATIONS"]
EDGES = [(source, target) for target in range(1, 4) for source in range(target)]
NONE, SKIP, POOL = "none", "skip_connect", "avg_pool_3x3"


def cell_string(operations):
    """The formula of a cell; least over all ways of numbering its convolutions. None: it has no output."""
    nodes, kinds = [["x"]], []
    for target in range(1, 4):
        terms = []
        for source in range(target):
            kind = operations[source, target]
            if kind == NONE or not nodes[source]:
                continue
            if kind == SKIP:
                terms += nodes[source]
            elif kind == POOL:
                terms.append((POOL, source))
            else:
                terms.append((len(kinds), source))
                kinds.append(kind)
        nodes.append(terms)
    used = set()

    def visit(node):
        for term in nodes[node]:
            if term != "x":
                used.add(term[0])
                visit(term[1])

    visit(3)
    groups = [[i for i in sorted(used - {POOL}) if kinds[i] == kind] for kind in OPERATIONS]

    def write(node, names):
        texts = [t if t == "x" else f"{names[t[0]]}({write(t[1], names)})" for t in nodes[node]]
        return "+".join(sorted(texts))

    numberings = itertools.product(*(itertools.permutations(range(len(group))) for group in groups))
    texts = []
    for numbering in numberings:
        names = {POOL: POOL}
        for group, numbers, kind in zip(groups, numbering, OPERATIONS, strict=True):
            names |= {i: f"{kind}#{number}" for i, number in zip(group, numbers, strict=True)}
        texts.append(write(3, names))
    return min(texts) or None


def paper_string(operations):
    """What NAS-Bench-201 tells cells apart by: zeros and skipped edges are simplified, shared nodes written out."""
    nodes = ["0"]
    for target in range(1, 4):
        terms = []
        for source in range(target):
            kind = operations[source, target]
            if kind == NONE or nodes[source] == "#":
                terms.append("#")
            else:
                terms.append(nodes[source] if kind == SKIP else f"({nodes[source]})@{kind}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


def cells(kinds):
    return [dict(zip(EDGES, chosen, strict=True)) for chosen in itertools.product(kinds, repeat=6)]


def test_cells_of_nas_bench_201_have_one_key_a_class():
    """Of 15,625 cells the paper counts 6,466; 341 have no output, and shared nodes are no copies: 5,259 networks."""
    every = cells(OPERATIONS)
    assert len({paper_string(cell) for cell in every}) == 6466
    texts = [cell_string(cell) for cell in every]
    assert (texts.count(None), len(set(texts) - {None})) == (341, 5259)

    @search_space
    def one():
        operations = {e: CategoricalParameter(OPERATIONS, name=f"edge_{e[0]}_{e[1]}") for e in EDGES}
        return MODULE["cell"](Tensor("input", (1, 4, 8, 8), axis=("N", "C", "H", "W")), operations)

    space = as_space(one())
    ids = {e: next(p for p in space.parameters if p.endswith(f"edge_{e[0]}_{e[1]}")) for e in EDGES}
    keys, strings = defaultdict(set), defaultdict(set)
    for cell in cells([NONE, SKIP, "nor_conv_3x3", POOL])[::5] + every[::61]:
        text = cell_string(cell)
        if text is not None:
            key = space.candidate({ids[e]: kind for e, kind in cell.items()}).graph_key
            keys[text].add(key)
            strings[key].add(text)
    assert len(keys) > 250
    assert {len(found) for found in (*keys.values(), *strings.values())} == {1}


def test_the_whole_network_of_permuted_cells_has_one_key():
    space = hannah_hw.load_space("nas_bench_201")
    ids = {e: next(p for p in space.parameters if p.endswith(f"edge_{e[0]}_{e[1]}")) for e in EDGES}
    a, b = "nor_conv_1x1", "nor_conv_3x3"

    def key(*kinds):
        return space.candidate({ids[e]: kind for e, kind in zip(EDGES, kinds, strict=True)}).graph_key

    # Edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3: nodes 1 and 2 change places.
    assert key(a, b, NONE, SKIP, b, a) == key(b, a, NONE, SKIP, a, b)
    assert key(a, b, NONE, SKIP, b, a) != key(a, b, NONE, SKIP, a, b)
    # What leads nowhere does not count.
    assert key(a, b, NONE, SKIP, NONE, a) == key(b, b, NONE, SKIP, NONE, a)
    # One convolution that two edges take is not two.
    assert key(b, NONE, SKIP, NONE, a, POOL) != key(b, b, NONE, NONE, a, POOL)


def key_of(build, shape=(1, 4, 8, 8)):
    @search_space
    def space():
        return build(Tensor("input", shape, axis=("N", "C", "H", "W")))

    made = as_space(space())
    return made.candidate(made.default()).graph_key


@scope
def renamed(x, channels, kernel_size=1):
    return conv2d(x, channels, kernel_size)


class Power(Op):
    """An operator of a user's own."""

    def __init__(self, exponent, private=0):
        super().__init__()
        self.exponent = exponent
        self._private = private


PAIRS = {
    "names": (lambda x: renamed(x, 4), lambda x: conv2d(x, 4), True),
    "channels": (lambda x: conv2d(x, 4), lambda x: conv2d(x, 5), False),
    "kernel": (lambda x: conv2d(x, 4, 1), lambda x: conv2d(x, 4, 3), False),
    "stride": (lambda x: conv2d(x, 4, 3), lambda x: conv2d(x, 4, 3, stride=2), False),
    "identity": (lambda x: conv2d(Identity()(x), 4), lambda x: Identity()(conv2d(x, 4)), True),
    "order of a sum": (
        lambda x: Add()(conv2d(x, 4), Relu()(x)),
        lambda x: Add()(Relu()(x), conv2d(x, 4)),
        True,
    ),
    "order of a long sum": (
        lambda x: Add()(conv2d(x, 4), Relu()(x), x),
        lambda x: Add()(x, conv2d(x, 4), Relu()(x)),
        True,
    ),
    "order of a product": (
        lambda x: Mul()(conv2d(x, 4), Relu()(x)),
        lambda x: Mul()(Relu()(x), conv2d(x, 4)),
        True,
    ),
    "order of channels": (
        lambda x: Concat()(conv2d(x, 4), Relu()(x)),
        lambda x: Concat()(Relu()(x), conv2d(x, 4)),
        False,
    ),
    "order of operators": (lambda x: Relu()(conv2d(x, 4)), lambda x: conv2d(Relu()(x), 4), False),
    "computed twice": (lambda x: Add()(Relu()(x), Relu()(x)), lambda x: twice(Relu()(x)), True),
    "two weights": (lambda x: Add()(conv2d(x, 4), conv2d(x, 4)), lambda x: twice(conv2d(x, 4)), False),
    "random twice": (lambda x: Add()(Dropout()(x), Dropout()(x)), lambda x: twice(Dropout()(x)), False),
    "user's attribute": (Power(2), Power(3), False),
    "user's private attribute": (Power(2, 1), Power(2, 2), False),
    "user's array": (Power(np.arange(3)), Power(np.array([0, 1, 3])), False),
    "equal arrays": (Power(np.arange(3)), Power(np.array([0, 1, 2])), True),
}


def twice(x):
    return Add()(x, x)


@pytest.mark.parametrize("name", PAIRS)
def test_what_counts(name):
    one, other, equal = PAIRS[name]
    assert (key_of(one) == key_of(other)) is equal


def test_a_partial_sum_that_another_takes_is_a_value_of_its_own():
    def shared(x):
        part = Add()(x, Relu()(x))
        return Add()(Add()(part, conv2d(x, 4)), AvgPooling(3)(part))

    def other(x):
        rest = Add()(Relu()(x), conv2d(x, 4))
        return Add()(Add()(x, rest), AvgPooling(3)(Add()(x, Relu()(x))))

    assert key_of(shared) != key_of(other)


def test_weights_of_two_operators_differ_from_shared_ones():
    def tied(x):
        weight = Tensor("weight", (4, 4, 1, 1), axis=("O", "I", "H", "W"), grad=True)
        return Conv2d()(Relu()(Conv2d()(x, weight)), weight)

    def free(x):
        return conv2d(Relu()(conv2d(x, 4)), 4)

    assert key_of(tied) != key_of(free)


def test_parallel_equal_branches_have_one_key_however_they_are_joined():
    """Nodes that cannot be told apart: all pairings of two pairs of branches are one network, crossed ones another."""

    def build(pairs):
        def network(x):
            a, b = conv2d(x, 4), conv2d(x, 4)
            c, d = conv2d(Relu()(x), 4), conv2d(Relu()(x), 4)
            branches = {"a": a, "b": b, "c": c, "d": d}
            first, second = (Mul()(*(branches[name] for name in pair)) for pair in pairs)
            return Add()(batch_norm(first), batch_norm(second))

        return network

    keys = [key_of(build(pairs)) for pairs in (("ac", "bd"), ("ad", "bc"), ("db", "ca"), ("ab", "cd"))]
    assert keys[0] == keys[1] == keys[2] != keys[3]


@pytest.mark.parametrize("name", ["ds_cnn", "resnet", "mcunet", "resnet20_mixed"])
def test_equal_keys_within_ready_spaces_mean_equal_figures(name):
    space = hannah_hw.load_space(name)
    found = defaultdict(set)
    for row in space.sample_population(40, seed=0):
        candidate = space.candidate_of(row)
        found[candidate.graph_key].add((candidate.macs, candidate.parameters))
    assert {len(figures) for figures in found.values()} == {1}
    assert len(found) > 30


def test_a_choice_and_what_it_chooses_are_one_network():
    def chosen(x):
        switch = CategoricalParameter([0, 1], name="which", default=1)
        return linear(ChoiceOp(Relu()(x), AvgPooling(3)(x), switch=switch)(), 5)

    assert key_of(chosen) == key_of(lambda x: linear(AvgPooling(3)(x), 5))


def test_an_attribute_that_cannot_be_compared_is_named():
    with pytest.raises(SpaceError, match=r"Power_0 has an attribute of the type object"):
        key_of(Power(object()))
