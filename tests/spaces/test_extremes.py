"""The greatest values in valid candidates, against all candidates one by one."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw import CategoricalParameter, IntScalarParameter, SearchSpace, load_space
from hannah_hw.errors import SpaceError
from hannah_hw.executors import WeightSharingExecutor
from hannah_hw.expressions import Max, Min, evaluate
from hannah_hw.operators import Relu
from hannah_hw.spaces import extremes
from tests.blocks import conv, data


def parameters():
    return [
        IntScalarParameter(1, 4, name="a"),
        CategoricalParameter([3, 1, 8], name="b"),
        IntScalarParameter(0, 6, 2, name="c"),
        IntScalarParameter(2, 3, name="d"),
    ]


TREES = st.recursive(
    st.integers(0, 3).map(lambda index: ("leaf", index)),
    lambda inner: st.tuples(st.sampled_from(["+", "*", "-", "max", "min"]), inner, inner),
    max_leaves=5,
)


def built(tree, leaves):
    """The expression of a tree over some parameters."""
    kind, *parts = tree
    if kind == "leaf":
        return leaves[parts[0]]
    left, right = (built(part, leaves) for part in parts)
    return {
        "+": lambda: left + right,
        "*": lambda: left * right,
        "-": lambda: left - right,
        "max": lambda: Max(left, right),
        "min": lambda: Min(left, right),
    }[kind]()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TREES, st.lists(st.tuples(TREES, st.integers(-2, 20)), min_size=1, max_size=3))
def test_it_is_the_greatest_value_of_all_valid_candidates(tree, conditions):
    leaves = parameters()
    x = conv(data(2, 4, 4), leaves[0], 1)
    x = conv(conv(x, leaves[1], 1), leaves[2] + leaves[3], 1)
    for condition, limit in conditions:
        x.cond(built(condition, leaves) <= limit)
    try:
        space = SearchSpace(x)
    except SpaceError:  # nothing is valid
        return
    wanted = built(tree, leaves)
    ids = [parameter.id for parameter in leaves]
    values = []
    for levels in itertools.product(*(parameter.levels for parameter in leaves)):
        assignment = dict(zip(ids, levels, strict=True))
        if all(evaluate(built(c, leaves) <= limit, assignment) for c, limit in conditions):
            values.append(evaluate(wanted, assignment))
    (found,) = extremes.greatest(space, [wanted])
    assert found == max(values)


def test_what_cannot_be_listed_is_bounded_from_above():
    """24 bits of which 2 are 1; each doubles the width."""
    bits = [IntScalarParameter(0, 1, name=f"bit{i}") for i in range(24)]
    bits[3].default = bits[5].default = 1
    width, total = 1, 0
    x = data(1, 2, 2)
    widths = []
    for bit in bits:
        width, total = width * (1 + bit), total + bit
        x = Relu()(conv(x, width, 1))
        widths.append(width)
    few, all_of_them, plain = extremes.greatest(SearchSpace(x.cond(total == 2)), [widths[11], widths[-1], 7])
    assert (few, all_of_them, plain) == (2**12, 2**24, 7.0)
    few, most = extremes.greatest(SearchSpace(x.cond(sum(bits[:16]) == 2)), [widths[11], widths[15]])
    assert (few, most) == (4, 4)


def test_shared_weights_of_a_code_are_those_of_its_widest_candidate(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(
        """
format: hannah-space/1
input: [3, 8, 8]
modules:
  stem: {type: SmallInputInitialBlock, init_plane: 4}
  layer:
    type: VariantLayer
    block: {type: BasicBlock}
    doublechannel: {code: {default: [0, 1, 1, 0, 0, 0], choices: [0, 1], ones: keep}}
    downsample: 0
"""
    )
    space = load_space(str(path))
    shared = WeightSharingExecutor(space)
    stored = {name: shared.stored(name).shape for name in shared.state_dict()}
    largest = {}
    for row in space.sample_population(200, seed=0):
        for name, weight in space.candidate_of(row).plan.weights.items():
            own = weight.shape()
            largest[name] = tuple(map(max, own, largest.get(name, own)))
    assert largest.keys() == stored.keys()
    # A projection is there only where the width changes, which its bound does not know.
    assert {n: s for n, s in largest.items() if "projection" not in n} == {
        n: s for n, s in stored.items() if "projection" not in n
    }
    assert all(own <= kept for n in stored for own, kept in zip(largest[n], stored[n], strict=True))
