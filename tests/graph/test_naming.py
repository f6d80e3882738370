"""Ids outside of a search_space: the next free number of everything that a node is connected to."""

import time

from hannah_hw import Tensor, get_nodes, scope
from hannah_hw.operators import Add, Identity, Relu


def image(name="input"):
    return Tensor(name, (1, 3, 8, 8))


@scope
def pair(x):
    return Relu()(Relu()(x))


def test_graphs_that_meet_go_on_with_the_higher_number():
    left = Relu()(Relu()(Relu()(image("a"))))
    right = Identity()(Relu()(image("b")))
    both = Add()(left, right)
    assert Relu()(both).id == "Relu_3"
    # The sum made one graph of both, so that a number that either has is taken on both sides.
    assert Relu()(right).id == "Relu_4"
    assert Identity()(left).id == "Identity_1"


def test_graphs_that_do_not_meet_count_apart():
    assert [Relu()(image()).id for _ in range(3)] == ["Relu_0"] * 3


def test_a_scope_counts_what_it_is_given_before_they_are_connected():
    first, second = pair(image("a")), image("b")
    assert pair(second).id == "pair_0.Relu_1"

    @scope
    def both(x, y):
        return Add()(pair(x), y)

    total = both(second, first)
    # pair_0 is at the top of both graphs.
    assert total.id == "both_0.Add_0"
    assert total.operands[0].id == "both_0.pair_1.Relu_1"


def test_an_operator_may_have_any_attribute():
    class Named(Relu):
        def __init__(self):
            super().__init__()
            self.names = ("a", "b")
            self.root = 3

    assert Relu()(Named()(image())).operands[0].id == "Named_0"


def test_time_grows_with_the_graph_not_with_its_square():
    def seconds(nodes):
        start = time.process_time()
        x = image()
        for _ in range(nodes):
            x = Relu()(x)
        assert len(list(get_nodes(x))) == nodes + 1
        return time.process_time() - start

    # Eight times the nodes: a walk through the graph for every one of them would take 64 times as long.
    assert min(seconds(4000) for _ in range(2)) < 24 * min(seconds(500) for _ in range(3))
