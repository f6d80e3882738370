"""Every search space of the catalogue loads by its name, and at once."""

import time

import pytest

from hannah_hw import catalog, load_space
from hannah_hw.spaces import space_functions


def entries():
    for name in catalog.names("search_spaces"):
        path = catalog.find("search_spaces", name)
        functions = space_functions(path) if path.suffix == ".py" else {name: None}
        yield from [name] if name in functions else [f"{name}:{function}" for function in functions]


@pytest.mark.parametrize("name", [*entries()])
def test_a_space_loads_within_a_second(name):
    """Of processor time, imports aside, the better of two."""
    times = []
    for _ in range(2):
        start = time.process_time()
        space = load_space(name)
        times.append(time.process_time() - start)
    assert min(times) < 1
    assert space.candidate(space.sample(seed=0)).plan.steps
