"""Tables of kernels against loops over the networks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hannah_hw.host.kernels import HostKernel, HostTensor
from hannah_hw.host.table import KernelTable


def kernel(size):
    tensor = HostTensor("float32", (1, size))
    return HostKernel("Add", (tensor, tensor), (tensor,), (), 14)


def test_equal_kernels_are_there_once_in_the_order_of_their_first_use():
    table = KernelTable.of([[kernel(3), kernel(1)], [], [kernel(1), kernel(2), kernel(1)]])
    assert [entry.outputs[0].shape[1] for entry in table.kernels] == [3, 1, 2]
    assert table.which.tolist() == [0, 1, 1, 2, 1]
    assert table.network.tolist() == [0, 0, 2, 2, 2]
    assert [table.of_network(index).tolist() for index in range(3)] == [[0, 1], [], [1, 2, 1]]
    assert table.sums(np.array([1.0, 10.0, 100.0])).tolist() == [11.0, 0.0, 120.0]


@given(st.lists(st.lists(st.integers(1, 6), max_size=8), max_size=8))
def test_sums_are_those_of_each_network_alone(sizes):
    networks = [[kernel(size) for size in network] for network in sizes]
    table = KernelTable.of(networks)
    values = np.array([entry.outputs[0].elements ** 2.5 for entry in table.kernels])
    expected = [sum(size**2.5 for size in network) for network in sizes]
    assert np.allclose(table.sums(values), expected)
    assert len(table.kernels) == len({size for network in sizes for size in network})


def test_no_networks_are_an_empty_table():
    table = KernelTable.of([])
    assert (table.size, table.kernels, len(table.sums(np.zeros(0)))) == (0, (), 0)
