"""Schedules of TVM's kernels for cores without caches: little scratch memory, sums in registers.

As TVM fuses them, a kernel's operators run one after the other with whole tensors between them: 213 KB of scratch for a
convolution of 64 channels. Here

* an operator that only moves or maps values is computed where its result is used;
* a sum is kept in local variables, and what follows it is computed as soon as it is complete;
* four output channels share the loads of their input, and the padded window that they read is copied once for each
  position, as CMSIS-NN does (im2col), in place of a padded copy of the whole input.

Every step is one of TVM's own transformations, which refuse what would change a result; what they refuse is left as it
is.
"""

from __future__ import annotations

import math
from typing import Any, Final

from hannah_hw.lowering.tvm.primitive import REDUCTION, accumulates_products

#: Output channels that share loads; as many sums are in registers, of which the FPU of a Cortex-M has 32.
_TILE: Final = 4
#: Steps of a sum that are written out.
_UNROLLED: Final = 4


def schedule(function: Any) -> Any:
    """A kernel, scheduled.

    Args:
        function: A ``tvm.tirx.PrimFunc`` as TVM's fusion leaves it.

    Returns:
        One that computes the same from the same parameters.
    """
    from tvm import IRModule, s_tir

    plan = _Plan(s_tir.Schedule(IRModule({"main": function})), s_tir.ScheduleError)
    plan.inline()
    for name in plan.sums():
        attempt = _Plan(s_tir.Schedule(plan.schedule.mod), s_tir.ScheduleError)
        if attempt.attempt(attempt.accumulate, name):
            plan = attempt
    return plan.schedule.mod["main"]


class _Plan:
    """A schedule of one kernel, whose blocks are its operators.

    Args:
        schedule: A ``tvm.s_tir.Schedule``.
        refused: What it raises where it refuses a transformation.
    """

    def __init__(self, schedule: Any, refused: type[Exception]) -> None:
        self.schedule = schedule
        self._refused = refused
        self._root = schedule.get_sblock("root", "main")

    def sums(self) -> list[str]:
        """Names of the blocks that sum up."""
        return [str(self.schedule.get(block).name_hint) for block in self._blocks() if self._is_sum(block)]

    def inline(self) -> None:
        """Compute what only moves or maps values where it is used, but for the windows of convolutions."""
        for block in self._blocks():
            users = self.schedule.get_consumers(block)
            if self._is_sum(block) or not users:
                continue
            if len(users) == 1 and self._is_sum(users[0]) and self._shared_axis(users[0]) is not None:
                continue
            if len(users) == 1 or not _calls_functions(self.schedule.get(block).body):
                self.attempt(self.schedule.compute_inline, block)

    def accumulate(self, name: str) -> None:
        """Keep a sum in local variables."""
        schedule = self.schedule
        block = schedule.get_sblock(name, "main")
        loops, axes = schedule.get_loops(block), schedule.get(block).iter_vars
        if len(loops) != len(axes):
            return
        summed = [loop for loop, axis in zip(loops, axes, strict=True) if int(axis.iter_type) == REDUCTION]
        outer = [loop for loop, axis in zip(loops, axes, strict=True) if int(axis.iter_type) != REDUCTION]
        shared = self._shared_axis(block)
        if shared is not None:
            channels = loops[shared]
            outer = [loop for loop in outer if loop is not channels]
            channels, lane = schedule.split(channels, [None, _divisor(self._extent(channels), _TILE)])
            schedule.reorder(*outer, channels, *summed, lane)
            for producer in schedule.get_producers(block):
                self.attempt(schedule.compute_at, producer, outer[-1])
            summed = self._unrolled(summed)
            schedule.unroll(lane)
            outer.append(channels)
        users = schedule.get_consumers(block)
        tail = users[0] if users else schedule.cache_write(block, 0, "global")
        if (
            len(users) < 2
            and not self._is_sum(tail)
            and self.attempt(schedule.reverse_compute_at, tail, outer[-1])
        ):
            self._write_out(tail, len(outer))
        self._write_out(schedule.decompose_reduction(block, summed[0]), len(outer))

    def _write_out(self, block: Any, outer: int) -> None:
        """Unroll the loops of a block inside of some outer ones if they are those of a tile."""
        loops = self.schedule.get_loops(block)[outer:]
        if math.prod(self._extent(loop) for loop in loops) <= _TILE:
            for loop in loops:
                self.schedule.unroll(loop)

    def _unrolled(self, summed: list[Any]) -> list[Any]:
        """Loops of a sum as one, of which some steps are written out."""
        whole = self.schedule.fuse(*summed)
        steps, written = self.schedule.split(whole, [None, _divisor(self._extent(whole), _UNROLLED)])
        self.schedule.unroll(written)
        return [steps, written]

    def _shared_axis(self, block: Any) -> int | None:
        """Along which axis of a sum of products one factor is the same: output channels, where there are any."""
        nest = self.schedule.get(block)
        if not accumulates_products(nest.body):
            return None
        free: list[list[int]] = []
        for used in _factors(nest.body.value):
            found = [
                index
                for index, axis in enumerate(nest.iter_vars)
                if int(axis.iter_type) != REDUCTION and int(axis.dom.extent) > 1 and axis.var not in used
            ]
            free += [found] if found else []
        if not free:
            return None
        # Where the data have such an axis it is the channels, and lies before those of the weights, which are places.
        return min(axis for found in free for axis in found) if len(free) > 1 else free[0][-1]

    def _blocks(self) -> list[Any]:
        return list(self.schedule.get_child_blocks(self._root))

    def _is_sum(self, block: Any) -> bool:
        return any(int(axis.iter_type) == REDUCTION for axis in self.schedule.get(block).iter_vars)

    def _extent(self, loop: Any) -> int:
        return int(self.schedule.get(loop).extent)

    def attempt(self, step: Any, *arguments: Any) -> bool:
        """One step, if TVM allows it."""
        try:
            step(*arguments)
        except self._refused:
            return False
        return True


def _divisor(number: int, most: int) -> int:
    """The largest divisor up to a limit."""
    return next(part for part in range(min(most, number), 0, -1) if number % part == 0)


def _factors(total: Any) -> list[set[Any]]:
    """The variables that each factor of a sum of products is found by."""
    product = total.a if type(total.a).__name__ == "Mul" else total.b
    return [_variables(product.a), _variables(product.b)]


def _variables(expression: Any) -> set[Any]:
    from tvm.tirx.analysis import undefined_vars

    return set(undefined_vars(expression))


def _calls_functions(statement: Any) -> bool:
    """Whether what a block computes takes long: an exponential, a division."""
    return any(
        word in str(statement) for word in ("T.exp", "T.erf", "T.tanh", "T.sqrt", "T.rsqrt", "T.log", "/")
    )
