"""Conditions: what is sampled, repaired or varied satisfies all of them; brute force is the truth for small ones."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hannah_hw import (
    CategoricalParameter,
    ChoiceOp,
    FloatScalarParameter,
    IntScalarParameter,
    SearchSpace,
    SubsetParameter,
    Tensor,
    dynamic_depth,
    lazy,
    load_space,
    scope,
    search_space,
)
from hannah_hw.blocks import batch_norm, conv2d, linear
from hannah_hw.errors import SpaceError
from hannah_hw.expressions import And, Evaluator, If, Not, Or
from hannah_hw.graph import execution_order, resolve
from hannah_hw.operators import AdaptiveAvgPooling, Add, Relu
from hannah_hw.search.algorithms import ALGORITHMS
from hannah_hw.search.algorithms.variation import Variation
from hannah_hw.spaces.constraints import Constraints, Rule
from hannah_hw.spaces.constraints import solving as module
from hannah_hw.spaces.constraints.elimination import Elimination
from hannah_hw.spaces.constraints.grid import Grid
from hannah_hw.spaces.constraints.relinking import Relinking


def parameter(made, name):
    made.id = made.name = name
    return made


def free(*parameters):
    """A node whose candidates are all combinations of some parameters."""
    return Relu()(Tensor("x", (1, *(abs(p) + 1 for p in parameters))))


def width(name, high=64):
    return IntScalarParameter(8, high, 8, name=name)


# --- spaces of the kinds that conditions are written for ---


@search_space
def seed_example():
    a, b = IntScalarParameter(0, 10, name="a"), IntScalarParameter(0, 10, name="b")
    return free(a, b).cond(a + b < 10).cond(a > 5)


@search_space
def across_blocks():
    x = Tensor("x", (1, 3, 8, 8))
    first, second = width("first", 512), width("second", 512)
    return conv2d(conv2d(x, first, 3), second, 3).cond(first == second)


@scope
def residual(x, max_stride):
    """Channels of the two sides are chosen independently: the sum wants them equal."""
    stride = IntScalarParameter(1, max_stride, name="stride")
    kernels = [CategoricalParameter([1, 3, 5], name=f"kernel{i}") for i in range(2)]
    main = Relu()(batch_norm(conv2d(x, width("mid"), kernels[0], stride)))
    main = batch_norm(conv2d(main, width("out"), kernels[1]))
    skip = x if max_stride == 1 else batch_norm(conv2d(x, width("skip"), 1, stride))
    return Relu()(Add()(main, skip))


@search_space
def resnet_like(blocks=12):
    x = conv2d(Tensor("input", (1, 3, 32, 32)), width("stem"), 3)
    exits = []
    for index in range(blocks):
        x = residual(x, 2 if index % 3 == 0 else 1)
        exits.append(x)
    x = dynamic_depth(*exits, switch=IntScalarParameter(0, blocks - 1, name="depth"))
    return linear(AdaptiveAvgPooling(1)(x), 10)


@search_space
def divisible():
    x = Tensor("x", (1, 4, 8, 8))
    for index in range(5):
        x = conv2d(
            x,
            IntScalarParameter(8, 64, name=f"out{index}"),
            3,
            groups=IntScalarParameter(1, 8, name=f"groups{index}"),
        )
    return x


@search_space
def budget(limit=2_000_000):
    x, channels, macs = Tensor("x", (1, 3, 16, 16)), 3, 0
    for index in range(10):
        out, kernel = width(f"out{index}"), CategoricalParameter([1, 3, 5], name=f"kernel{index}")
        x = conv2d(x, out, kernel)
        macs = macs + channels * out * kernel * kernel * x.shape()[2] * x.shape()[3]
        channels = out
    return x.cond(macs <= limit, f"macs <= {limit}")


@search_space
def tight_chain():
    x = Tensor("x", (1, 3, 8, 8))
    widths = [width(f"c{index}", 128) for index in range(30)]
    for out in widths:
        x = conv2d(x, out, 1)
    for one, other in itertools.pairwise(widths):
        x.cond(one == other)
    return x


@search_space
def budget_of_pairs():
    """A budget over everything, and equal widths two by two."""
    x, channels, macs = Tensor("x", (1, 3, 8, 8)), 3, 0
    widths = [IntScalarParameter(8, 128, 8, name=f"c{index}", log=True) for index in range(12)]
    for out in widths:
        x, macs, channels = conv2d(x, out, 1), macs + channels * out * 64, out
    for one, other in zip(widths[::2], widths[1::2], strict=True):
        x.cond(one == other)
    return x.cond(macs <= 300_000)


@search_space
def continuous():
    share = FloatScalarParameter(0, 1, name="share")
    rate = FloatScalarParameter(0.01, 10, name="rate", log=True)
    channels = width("c", 128)
    return (
        conv2d(Tensor("x", (1, 3, 8, 8)), channels, 1).cond(share + rate <= 0.3).cond(channels * share >= 4)
    )


@scope
def plain(x, channels):
    return Relu()(conv2d(x, channels, 3))


@scope
def even(x, channels):
    return conv2d(conv2d(x, channels, 1), channels, 3).cond(channels % 16 == 0)


@scope
def added(x, channels):
    return Add()(conv2d(x, width("left"), 3), conv2d(x, width("right"), 1))


@search_space
def choices(blocks=10):
    """Conditions of options bind only where the option is taken."""
    x, exits = Tensor("input", (1, 3, 16, 16)), []
    for _ in range(blocks):
        channels = width("c")
        x = ChoiceOp(*[lambda node, f=kind, c=channels: f(node, c) for kind in (plain, even, added)])(x)
        exits.append(x)
    return dynamic_depth(*exits, switch=IntScalarParameter(0, blocks - 1, name="depth"))


#: Name -> the space and how its one component is solved.
SPACES = {
    "seed_example": (seed_example, Grid),
    "across_blocks": (across_blocks, Grid),
    "resnet_like": (resnet_like, Elimination),
    "divisible": (divisible, Elimination),
    "budget": (budget, Relinking),
    "narrow_budget": (lambda: budget(300_000), Relinking),
    "tight_chain": (tight_chain, Elimination),
    "budget_of_pairs": (budget_of_pairs, Relinking),
    "continuous": (continuous, Relinking),
    "choices": (choices, Elimination),
}


@pytest.fixture(scope="module", params=SPACES)
def case(request):
    build, kind = SPACES[request.param]
    return SearchSpace(build()), kind


def resolves(space, row):
    """Whether the plain network can be built: the check that knows nothing of solvers."""
    try:
        resolve(space.order, space.outputs, space.encoding.all_values(row))
    except SpaceError:
        return False
    return True


def test_samples_are_valid_whatever_the_solver(case):
    space, kind = case
    ((_, solver),) = space.encoding.constraints._parts
    assert type(solver) is kind
    X = space.sample_population(400, seed=1)
    assert space.workload(X).exists.all()
    assert all(resolves(space, row) for row in X[:25])
    assert len(np.unique(X, axis=0)) > 9
    np.testing.assert_array_equal(space.encoding.canonical(X), X)
    np.testing.assert_array_equal(space.sample_population(400, seed=1), X)


def test_what_samples_violate_without_conditions_is_repaired(case):
    space, _ = case
    encoding = space.encoding
    rough = Variation(encoding).random(200, np.random.default_rng(3))
    before = space.workload(rough).exists
    assert not before.all()
    rows = encoding.canonical(rough)
    assert space.workload(rows).exists.all()
    assert all(resolves(space, row) for row in rows[:25])
    np.testing.assert_array_equal(encoding.canonical(rows), rows)
    np.testing.assert_array_equal(encoding.canonical(rough), rows)
    for index in (0, 17):  # what a row becomes does not depend on its neighbours
        np.testing.assert_array_equal(encoding.canonical(rough[index : index + 1]), rows[index : index + 1])
    valid = rough[before]
    np.testing.assert_array_equal(encoding.canonical(valid), encoding._reset(encoding._snapped(valid)))


def test_inactive_parameters_have_their_default(case):
    space, _ = case
    encoding = space.encoding
    rows = encoding.canonical(Variation(encoding).random(200, np.random.default_rng(4)))
    rest = ~encoding.active(rows)
    np.testing.assert_array_equal(rows[rest], np.broadcast_to(encoding.default, rows.shape)[rest])


def test_the_default_is_valid_and_candidates_round_trip(case):
    space, _ = case
    default = space.default()
    resolve(space.order, space.outputs, default)
    assert space.candidate(default).assignment == default == space.candidate({}).assignment
    for row in space.sample_population(5, seed=8):
        assignment = space.encoding.assignment(row)
        assert space.candidate(assignment.to_dict()).assignment == assignment


# What breeds; ``exact`` enumerates what an outlook knows, see tests/search/test_exact.py.
BREEDING = {name: algorithm for name, algorithm in ALGORITHMS.items() if name != "exact"}


@pytest.mark.parametrize("name", sorted(BREEDING))
def test_algorithms_breed_only_valid_candidates(case, name):
    space, _ = case
    algorithm = BREEDING[name](space.encoding, 2, population=12, seed=1)
    for _ in range(4):
        rows = algorithm.ask(12)
        assert space.workload(rows).exists.all()
        np.testing.assert_array_equal(space.encoding.canonical(rows), rows)
        values = np.stack([rows.sum(axis=1), -rows[:, 0]], axis=1)
        algorithm.tell(rows, values, np.zeros(len(rows)))


def test_a_small_constrained_space_is_enumerated_completely():
    """a from 6 to 9 and b below 10 - a: ten candidates, each asked once."""
    space = SearchSpace(seed_example())
    for algorithm in BREEDING.values():
        search = algorithm(space.encoding, 1, population=4, seed=0)
        seen = []
        while len(rows := search.ask(4)):
            seen += map(tuple, rows.tolist())
            search.tell(rows, rows[:, :1], np.zeros(len(rows)))
        assert sorted(seen) == [(a, b) for a in range(6, 10) for b in range(10 - a)]


# --- distributions ---


def test_samples_of_listed_and_of_eliminated_conditions_are_uniform_over_the_valid(monkeypatch):
    """Ten valid pairs, and every combination of the two ways to solve: each has its expected share."""
    for listed in (module.LISTED, 0):
        monkeypatch.setattr(module, "LISTED", listed)
        X = SearchSpace(seed_example()).sample_population(20_000, seed=2)
        pairs, counts = np.unique(X, axis=0, return_counts=True)
        assert len(pairs) == 10
        # 2000 expected each; 5 standard deviations are 212.
        assert (abs(counts - 2000) < 212).all()


def test_weights_of_logarithmic_parameters_are_kept_among_the_valid(monkeypatch):
    """P(a) ~ 1 / a on 1..8, valid where a + b is 9: P(a, b) ~ 1 / (a (9 - a))."""
    for listed in (module.LISTED, 0):
        monkeypatch.setattr(module, "LISTED", listed)
        a, b = (IntScalarParameter(1, 8, name=n, log=True) for n in "ab")
        X = SearchSpace(free(a, b).cond(a + b == 9)).sample_population(20_000, seed=2)
        shares = np.bincount(X[:, 0].astype(int), minlength=8) / 20_000
        expected = np.array([1 / (n * (9 - n)) for n in range(1, 9)])
        np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.015)


def test_samples_of_a_budget_are_those_of_rejection():
    """The mean of every parameter agrees with that of independent draws of which the invalid ones are dropped."""
    space = SearchSpace(budget(20_000_000))
    encoding = space.encoding
    raw = Variation(encoding).random(20_000, np.random.default_rng(1))
    kept = raw[space.workload(raw).exists]
    assert 2000 < len(kept) < 10_000
    X = space.sample_population(4000, seed=5)
    error = kept.std(axis=0) / np.sqrt(len(kept)) + X.std(axis=0) / np.sqrt(len(X))
    assert (abs(X.mean(axis=0) - kept.mean(axis=0)) < 5 * error).all()


def test_a_repair_of_listed_conditions_is_the_nearest_valid_combination():
    """Distance: share of the range for numbers, 1 for another category."""
    a, b = parameter(IntScalarParameter(0, 6), "a"), parameter(IntScalarParameter(0, 3), "b")
    c = parameter(CategoricalParameter(["x", "y", "z"]), "c")
    grid = Grid(
        [a, b, c], [Or(And(a == 2, b == 3, c == "x"), And(a * b == 5, c == "z"), And(a == 6, b == 0))]
    )
    cells = np.array(list(itertools.product(range(7), range(4), range(3))), float)

    def distance(one, other):
        return abs(one[0] - other[0]) / 6 + abs(one[1] - other[1]) / 3 + (one[2] != other[2])

    valid = [r for r in cells if tuple(r) in {(2, 3, 0), (5, 1, 2), (6, 0, 0), (6, 0, 1), (6, 0, 2)}]
    for row, found in zip(cells, grid.repair(cells), strict=True):
        assert any((found == v).all() for v in valid)
        assert distance(row, found) == pytest.approx(min(distance(row, v) for v in valid))


# --- brute force ---

A = parameter(IntScalarParameter(0, 3), "a")
B = parameter(IntScalarParameter(-2, 4, 2), "b")
C = parameter(CategoricalParameter([3, 1, 2]), "c")
D = parameter(CategoricalParameter(["s", "t"]), "d")
E = parameter(SubsetParameter("uv", 0, 2), "e")
F = parameter(IntScalarParameter(1, 3, log=True), "f")
SMALL = [A, B, C, D, E, F]
terms = st.sampled_from([A, B, C, F, A + B, A * C, C % F, B // F, If(D == "s", A, C), abs(B) + F, 0, 1, 2, 5])
atoms = st.one_of(
    st.tuples(st.sampled_from(["<", "<=", "==", "!="]), terms, terms).map(
        lambda t: {"<": t[1] < t[2], "<=": t[1] <= t[2], "==": t[1] == t[2], "!=": t[1] != t[2]}[t[0]]
    ),
    st.sampled_from([D == "t", E.contains("u"), Not(E.contains("v")), C == 2]),
)
conditions = st.lists(
    st.one_of(
        atoms,
        st.tuples(atoms, atoms).map(lambda t: Or(*t)),
        st.tuples(atoms, atoms).map(lambda t: And(Not(t[0]), t[1])),
    ),
    min_size=1,
    max_size=6,
)


def all_valid(expressions):
    """Every combination that satisfies all conditions, one at a time by the scalar evaluator."""
    found = set()
    for levels in itertools.product(*(range(len(p.levels)) for p in SMALL)):
        evaluate = Evaluator({p.id: p.levels[level] for p, level in zip(SMALL, levels, strict=True)})
        if all(evaluate(condition) for condition in expressions):
            found.add(levels)
    return found


def everything(constraints):
    """What repairs of all combinations are."""
    cells = np.array(list(itertools.product(*(range(len(p.levels)) for p in SMALL))), float)
    repaired = constraints.repair(cells) if constraints else cells
    return cells, repaired


@settings(max_examples=30, deadline=None)
@example([If(D == "s", A, C) > A, And(Not(D == "t"), E.contains("u"))], "relinked")
@given(conditions, st.sampled_from(["listed", "eliminated", "relinked"]))
def test_the_valid_combinations_are_those_of_brute_force(expressions, way):
    truth = all_valid(expressions)
    rules = [Rule(Or(False, e), f"condition {i}", ("node",)) for i, e in enumerate(expressions)]
    with pytest.MonkeyPatch.context() as patch:
        if way != "listed":
            patch.setattr(module, "LISTED", 0)
        if way == "relinked":
            patch.setattr(module, "CELLS", 8)
        if not truth:
            with pytest.raises(SpaceError, match="no candidate satisfies the conditions") as caught:
                Constraints(SMALL, rules)
            core = [int(n) for n in re.findall(r"node: condition (\d+)", str(caught.value))]
            assert not all_valid([expressions[n] for n in core])
            for left_out in core:
                assert all_valid([expressions[n] for n in core if n != left_out])
            return
        constraints = Constraints(SMALL, rules)
    cells, repaired = everything(constraints)
    assert {tuple(map(int, row)) for row in repaired} == truth
    kept = [tuple(map(int, row)) for row, new in zip(cells, repaired, strict=True) if (row == new).all()]
    assert set(kept) == truth
    uniform = np.random.default_rng(0).random((300, len(SMALL)))
    rows = np.floor(uniform * [len(p.levels) for p in SMALL])
    samples = constraints.sample(rows, uniform, np.random.default_rng(1))
    assert {tuple(map(int, row)) for row in samples} <= truth


# --- errors and details ---


def test_conditions_that_exclude_each_other_are_reported_alone():
    a, b, c = (IntScalarParameter(0, 9, name=n) for n in "abc")
    node = free(a, b, c).cond(c < 5).cond(a + b < 10, "the sum is small").cond(a > 5).cond(b > 5).cond(a != 3)
    with pytest.raises(SpaceError) as caught:
        SearchSpace(node)
    message = str(caught.value)
    assert message.startswith(
        "no candidate satisfies the conditions of the space; these exclude each other: "
    )
    assert message.count("Relu_0:") == 3
    assert "the sum is small" in message
    assert "(5 < x.a)" in message
    assert "(5 < x.b)" in message


def test_an_impossible_budget_is_proved_impossible():
    """Ten layers of 8 channels and kernels of 1 are the cheapest: 256 * (3 * 8 + 9 * 64) = 153,600 MACs."""
    with pytest.raises(SpaceError, match=r"exclude each other: \(1\) budget_0.Conv2d_9: macs <= 153599$"):
        SearchSpace(budget(153_599))
    space = SearchSpace(budget(153_600))
    assert space.mac_counts(space.sample_population(3)).tolist() == [153_600] * 3


def test_what_operators_require_in_vain_is_found_with_the_first_candidate():
    x = Tensor("x", (1, 3, 8, 8))
    space = SearchSpace(Add()(conv2d(x, width("a"), 1), conv2d(x, IntScalarParameter(9, 12, name="b"), 1)))
    with pytest.raises(SpaceError, match=r"exclude each other: \(1\) Add_0: it adds values of one shape"):
        space.default()


def test_what_is_named_is_kept_or_refused():
    """HANNAH's own example: 6 alone is fine, 6 and 6 are not."""
    space = SearchSpace(seed_example())
    a, b = space.encoding.ids
    assert space.default() == {a: 6, b: 0}
    assert space.candidate({a: 8}).assignment == {a: 8, b: 0}
    assert space.candidate({b: 3}).assignment == {a: 6, b: 3}
    with pytest.raises(SpaceError, match=r"given: .*\.a = 6; .*given: .*b = 6") as caught:
        space.candidate({a: 6, b: 6})
    assert "< 10" in str(caught.value)
    with pytest.raises(
        SpaceError, match=r"the condition \(\(.*a \+ .*b\) < 10\) does not hold for .*a = 6, .*b = 6"
    ):
        resolve(space.order, space.outputs, {a: 6, b: 6})
    real = SearchSpace(continuous())
    share = next(name for name in real.encoding.ids if name.endswith("share"))
    assert real.candidate({share: 0.25}).assignment[share] == 0.25
    with pytest.raises(
        SpaceError, match=r"'.*share': 0.75\} violates conditions of the space; \{'.*share': 0\."
    ):
        real.candidate({share: 0.75})
    chain = SearchSpace(tight_chain())
    last = chain.encoding.ids[-1]
    assert set(chain.candidate({last: 64}).assignment.values()) == {64}


@search_space
def either():
    one, two = IntScalarParameter(0, 9, name="one"), IntScalarParameter(0, 9, name="two")
    options = [Relu()(Tensor("x", (1, one + 1))), Relu()(Tensor("y", (1, two + 1))).cond(one + two == 18)]
    return ChoiceOp(*options, switch=IntScalarParameter(0, 1, name="which"))()


def test_a_condition_of_a_node_that_is_not_there_does_not_bind():
    space = SearchSpace(either())
    X = space.sample_population(500, seed=0)
    values = {name.rpartition(".")[2]: column for name, column in space.encoding.values(X).items()}
    assert len(np.unique(values["one"][values["which"] == 0])) == 10
    assert (values["one"][values["which"] == 1] == 9).all()
    # The second option uses `one` through its condition alone, which makes it active there.
    assert space.encoding.active(X)[:, space.encoding.ids.index("either_0.x.one")].all()
    assert set(values["two"][values["which"] == 0]) == {0}


def test_conditions_chain_and_are_checked():
    a = IntScalarParameter(0, 3, name="a")
    node = free(a)
    assert node.cond(a > 0).cond(a < 3) is node
    assert len(node.conditions) == 2
    assert Relu()(node).conditions == ()
    mode = CategoricalParameter(["x", "y"], name="mode")
    for wrong in ("a > 0", None, mode, 0.5):
        with pytest.raises(SpaceError, match="give an expression such as"):
            node.cond(wrong)


def test_a_parameter_that_only_conditions_use_belongs_to_the_node():
    a, b = IntScalarParameter(0, 3, name="a"), IntScalarParameter(0, 3, name="b")
    node = free(a).cond(a + b == 4)
    assert sorted(node.parametrization(flatten=True)) == ["Relu_0.b", "x.a"]
    X = SearchSpace(node).sample_population(50)
    assert (X.sum(axis=1) == 4).all()


@pytest.mark.parametrize("name", ["ds_cnn", "tc_resnet"])
def test_ready_spaces_have_nothing_left_to_solve(name):
    """Interval analysis proves all that their operators require, so their samples are independent draws."""
    encoding = load_space(name).encoding
    assert not encoding.constraints
    uniform = np.random.default_rng(3).random((50, len(encoding.ids)))
    rows = np.floor(uniform * encoding.levels)
    np.testing.assert_array_equal(
        encoding.sample(50, np.random.default_rng(3)), np.where(encoding.active(rows), rows, encoding.default)
    )


def test_an_option_of_every_choice_is_always_there():
    """What all options of a choice take is active wherever the choice is: no condition on the choice is left."""
    x = Relu()(Tensor("x", (1, 3)))
    choice = ChoiceOp(Relu(), Relu(), Relu())(x)
    exits = dynamic_depth(x, choice, switch=IntScalarParameter(0, 1, name="depth"))
    space = SearchSpace(exits)
    assert space.activity[x.id] is True
    depth, which = (
        next(p for n, p in space.parameters.items() if n.endswith(e)) for e in ("depth", "choice")
    )
    assert space.activity[choice.id] is (depth == 1)
    option = choice.operands[2].id
    for values in itertools.product(range(2), range(3)):
        assignment = {depth.id: values[0], which.id: values[1]}
        assert bool(lazy(space.activity[option], assignment)) == (values == (1, 2))
    assert len(execution_order([exits])) == len(space.order)
