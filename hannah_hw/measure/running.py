"""A generated project in an emulator: runs of the whole network and of its layers, compared with the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import MeasurementError
from hannah_hw.firmware import reference

if TYPE_CHECKING:
    from hannah_hw.emulation import Counts, Emulator
    from hannah_hw.firmware.layers import Network
    from hannah_hw.firmware.project import Project

Int8Array = NDArray[np.int8]


def random_inputs(network: Network, rng: np.random.Generator) -> list[Int8Array]:
    """(height, width, channels) int8 for each graph input, all values equally likely."""
    shapes = [network.values[index].shape for index in network.inputs]
    return [rng.integers(-128, 128, shape, dtype=np.int8) for shape in shapes]


class Firmware:
    """Firmware in an emulator, beside the integer reference; the network's inputs are initialised.

    Args:
        project: What was built.
        emulator: With its ELF.
        where: What messages call the model.
    """

    def __init__(self, project: Project, emulator: Emulator, where: str) -> None:
        self.project, self.network, self.emulator, self._where = project, project.network, emulator, where
        self._arena = emulator.symbols[project.arena_symbol].address
        emulator.call(f"{project.prefix}_init")

    def run(self, inputs: Sequence[Int8Array]) -> Counts:
        """One inference; its output is compared.

        Raises:
            MeasurementError: The output is wrong; names the first layer that differs.
        """
        self._write_inputs(inputs)
        counts = self.emulator.call(f"{self.project.prefix}_run")
        for index, expected in zip(self.network.outputs, reference.run(self.network, inputs), strict=True):
            if self._read(index) != expected.tobytes():
                self.run_by_layer(inputs)
                raise self._wrong(f"output {self.network.values[index].name!r}", self._read(index), expected)
        return counts

    def run_by_layer(self, inputs: Sequence[Int8Array], *, flash_reads: bool = False) -> list[Counts]:
        """One inference, layer by layer; every layer's result is compared.

        Raises:
            MeasurementError: A result is wrong.
        """
        self._write_inputs(inputs)
        values = reference.run_all(self.network, inputs)
        found = []
        for symbol, layer in zip(self.project.layer_symbols, self.network.layers, strict=True):
            found.append(self.emulator.call(symbol, flash_reads=flash_reads))
            result = self._read(layer.output)
            if result != values[layer.output].tobytes():
                raise self._wrong(f"layer {layer.name!r} ({layer.kind})", result, values[layer.output])
        return found

    def _write_inputs(self, inputs: Sequence[Int8Array]) -> None:
        for index, data in zip(self.network.inputs, inputs, strict=True):
            self.emulator.write(self._arena + self.project.design.memory.offsets[index], data.tobytes())

    def _read(self, index: int) -> bytes:
        offset, size = self.project.design.memory.offsets[index], self.network.values[index].size
        return self.emulator.read(self._arena + offset, size)

    def _wrong(self, what: str, result: bytes, expected: Int8Array) -> MeasurementError:
        wanted = expected.ravel()
        differs = np.flatnonzero(np.frombuffer(result, np.int8) != wanted)
        first = int(differs[0]) if len(differs) else 0
        return MeasurementError(
            f"{self._where}: {what} is wrong on {self.emulator.core.title}: {len(differs)} of {len(wanted)} values "
            f"differ from the integer reference, first value {first} ({np.frombuffer(result, np.int8)[first]} instead "
            f"of {wanted[first]}); please report this model",
            kind="wrong-output",
        )
