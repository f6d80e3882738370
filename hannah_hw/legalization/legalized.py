"""A space that holds nothing but networks that a target can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hannah_hw.errors import SpaceError
from hannah_hw.graph import Node
from hannah_hw.hardware import HardwareAxes
from hannah_hw.legalization.narrowing import Narrowing, Removal
from hannah_hw.legalization.rules import failed_by_samples, target_rules
from hannah_hw.spaces import SearchSpace, as_space
from hannah_hw.spaces.constraints import Rule
from hannah_hw.spaces.counting import assignments
from hannah_hw.targets import Target, load_target


@dataclass(frozen=True)
class Legalized:
    """What a target left of a space.

    Attributes:
        space: The part of the space that the target can run: samples and variations of its candidates keep all rules
            but those of ``priced``. The space itself where the target can run all of it.
        target: Label of the target.
        removed: Values that no network has which the target can run.
        conditions: Rules that exclude combinations of what is left; conditions of ``space``.
        priced: Rules that nothing but pricing a network checks: limits on what is no sum over kernels, and conditions
            for which no network was found that keeps them, and no proof that there is none.
        before: Number of assignments of all parameters; None where one is continuous.
        after: The same of what is left, without regard to conditions.
    """

    space: SearchSpace
    target: str
    removed: tuple[Removal, ...]
    conditions: tuple[Rule, ...]
    priced: tuple[Rule, ...]
    before: int | None
    after: int | None

    def to_dict(self) -> dict[str, Any]:
        """Everything but the space, JSON-able."""
        return {
            "target": self.target,
            "summary": str(self),
            "assignments": {"before": self.before, "after": self.after},
            "removed": [
                {
                    "parameter": removal.parameter,
                    "values": list(removal.values),
                    "left": list(removal.left),
                    "rules": _described(removal.rules),
                }
                for removal in self.removed
            ],
            "conditions": _described(self.conditions),
            "priced": _described(self.priced),
        }

    @property
    def changed(self) -> bool:
        """Whether there is anything that the target cannot run."""
        return bool(self.removed or self.conditions or self.priced)

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.target} can run every network of {self.space.name}"
        values = sum(len(removal.values) for removal in self.removed)
        parts = []
        if self.removed:
            parts.append(f"{_count(values, 'value')} of {_count(len(self.removed), 'parameter')} removed")
        if self.conditions:
            parts.append(f"{_count(len(self.conditions), 'condition')} on several parameters")
        if self.priced:
            parts.append(f"{_count(len(self.priced), 'rule')} left to pricing")
        texts = dict.fromkeys(
            rule.text
            for rules in (*(r.rules for r in self.removed), self.conditions, self.priced)
            for rule in rules
        )
        return f"{self.space.name} for {self.target}: {', '.join(parts)}, by: {'; '.join(texts)}"


def legalize(
    space: SearchSpace | Node, target: Target | str, *, axes: HardwareAxes | None = None
) -> Legalized:
    """Narrow a space to what a target can run.

    Values of parameters that no runnable network has are removed; rules that join several parameters become conditions
    of the space. So what is sampled or varied can run, and no network is lost that can. What a cost model refuses
    beyond the rules of its target, such as a layer that it finds no mapping for, is left to pricing.

    Args:
        space: A space, or the last node of a graph.
        target: A target, or its name or path.
        axes: The params of the target that are parameters of the space.

    Raises:
        SpaceError: The target can run no network of the space; the message names rules and parameters.
        TargetError: The target description is wrong.
        CatalogError: There is no such target.
    """
    space = as_space(space)
    target = load_target(target) if isinstance(target, str) else target
    found = target_rules(space, target, axes)
    try:
        discrete = [p for p in space.parameters.values() if p.levels]
        activity = [space.encoding.activity[p.id] for p in discrete]
        narrowing = Narrowing(discrete, activity, found.rules)
        levels = {
            p.id: kept.tolist()
            for p, kept in zip(discrete, narrowing.kept, strict=True)
            if len(kept) < len(p.levels)
        }
    except SpaceError as failure:
        raise _nothing_left(space, target, failure.message) from failure
    try:
        part, priced = _narrowed(space, levels, narrowing)
    except SpaceError as failure:
        # What is left satisfies no condition of the space, which says nothing of the target.
        failed = failed_by_samples(space, target)
        why = f"its networks fail {'; '.join(failed)}" if failed else failure.message
        raise _nothing_left(space, target, why) from failure
    return Legalized(
        part,
        target.label,
        tuple(narrowing.removals),
        tuple(rule for rule in narrowing.binding if rule not in priced),
        (*priced, *found.priced),
        assignments(space),
        assignments(part),
    )


def _nothing_left(space: SearchSpace, target: Target, why: str) -> SpaceError:
    return SpaceError(f"the target {target.label} can run no network of the space {space.name}: {why}")


def _narrowed(
    space: SearchSpace, levels: dict[str, list[int]], narrowing: Narrowing
) -> tuple[SearchSpace, Sequence[Rule]]:
    """The part of the space, and the rules that could not become conditions of it."""
    if not levels and not narrowing.binding:
        return space, ()
    try:
        return space.narrowed(levels, narrowing.binding), ()
    except SpaceError:
        if not narrowing.wide:
            raise
    # With conditions over many parameters a solution may exist that was not found.
    listed = [rule for rule in narrowing.binding if rule not in narrowing.wide]
    return space.narrowed(levels, listed), narrowing.wide


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _described(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    return [{"rule": rule.text, "kernels": list(rule.nodes)} for rule in rules]
