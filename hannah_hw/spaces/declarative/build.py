"""From a document to the graph of its space."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hannah_hw.errors import SpaceError
from hannah_hw.graph import Node, Tensor
from hannah_hw.graph.naming import counted
from hannah_hw.spaces.declarative.binding import Binder
from hannah_hw.spaces.declarative.channels import one_network
from hannah_hw.spaces.declarative.document import SpaceDocument
from hannah_hw.spaces.declarative.limits import MAX_SIZE, limited_blocks
from hannah_hw.spaces.declarative.network import Network
from hannah_hw.spaces.declarative.problems import Site, entered, warn
from hannah_hw.spaces.declarative.references import BlockChoice, BlockSpec, Ref

#: Names of the dimensions of the data, by their number.
_AXES = {2: ("N", "C", "W"), 3: ("N", "C", "H", "W")}


@dataclass(frozen=True)
class Built:
    """The graph of a document.

    Attributes:
        output: The last node.
        parameters: Id -> place in the document, of the parameters that the document declares.
    """

    output: Node
    parameters: Mapping[str, Site]

    def warn_of_unused(self, used: Container[str]) -> None:
        """Warn of parameters that nothing in the graph depends on.

        Args:
            used: Ids of the graph's parameters.
        """
        for name, site in self.parameters.items():
            if name not in used:
                with entered(site):
                    warn("W_UNUSED", "is a parameter, but nothing depends on it")


def build(
    document: SpaceDocument, *, input_shape: Sequence[int] | None = None, classes: int | None = None
) -> Built:
    """The graph of a document.

    The ids of its nodes begin with the document's name and the module's: ``variant_0.layer_0.BasicBlock_1.Conv2d_0``;
    those of its parameters are paths in the document.

    Args:
        document: The document.
        input_shape: Shape of a sample, in the place of the document's.
        classes: Number of classes, in the place of the one that the document gives to the last block that has one.

    Raises:
        SpaceError: A block refuses its fields, or its input, with its place in the file.
    """
    with entered(document.site):
        shape = document.input if input_shape is None else _checked_shape(input_shape)
        modules = dict(document.modules) if classes is None else _with_classes(document, _count(classes))
        binder = Binder()
        refs: dict[str, Ref] = {}
        for name, spec in modules.items():
            refs[name] = spec.bind(binder, ("modules", name))
            refs[name].label = name
        network = _network(document.name, shape, refs)
        for index, process in enumerate(document.process):
            network = process.bind(binder, ("process", index)).process(network)
        output = network.output
        for condition, text in binder.conditions:
            output.cond(condition, text)
    return Built(output, {name: document.site.at(*path) for name, path in binder.places.items()})


def _network(name: str, shape: tuple[int, ...], refs: Mapping[str, Ref]) -> Network:
    """The modules one after another."""
    with counted(f"{name}_0."), one_network(), limited_blocks():
        data = Tensor("input", (1, *shape), axis=_AXES[len(shape)])
        x: Node = data
        ends: dict[str, Node] = {}
        for module, ref in refs.items():
            x = ends[module] = ref(x)
    return Network(data, x, ends, lambda: _network(name, shape, refs))


def _checked_shape(shape: Any) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, list | tuple) else ()
    if len(sizes) not in _AXES or any(isinstance(s, bool) or not isinstance(s, int) or s < 1 for s in sizes):
        raise SpaceError(
            f"input_shape is {shape!r}; give (channels, length) or (channels, height, width), each at least 1",
            code="E_INPUT",
        )
    return sizes


def _count(classes: Any) -> int:
    if isinstance(classes, bool) or not isinstance(classes, int) or not 1 <= classes <= MAX_SIZE:
        raise SpaceError(f"classes is {classes!r}; it must be a whole number from 1 to {MAX_SIZE}")
    return classes


def has_classes(document: SpaceDocument) -> bool:
    """Whether some block of a document says how many classes it tells apart."""
    return any(_classes_field(option) for spec in document.modules.values() for option in _options(spec))


def _options(spec: BlockSpec | BlockChoice) -> tuple[BlockSpec, ...]:
    return spec.choice if isinstance(spec, BlockChoice) else (spec,)


def _classes_field(spec: BlockSpec) -> str | None:
    return spec.definition.classes


def _with_classes(document: SpaceDocument, classes: int) -> dict[str, BlockSpec | BlockChoice]:
    """The modules, the last block that tells classes apart with another number of them."""
    modules = dict(document.modules)
    for name in reversed(modules):
        spec = modules[name]
        if not any(map(_classes_field, _options(spec))):
            continue
        site = document.site.at("modules", name)
        if isinstance(spec, BlockSpec):
            modules[name] = _telling(spec, classes, site)
        else:
            options = [_telling(o, classes, site.at("choice", i)) for i, o in enumerate(spec.choice)]
            modules[name] = replace(spec, choice=tuple(options))
        break
    return modules


def _telling(spec: BlockSpec, classes: int, site: Site) -> BlockSpec:
    field = _classes_field(spec)
    if field is None or spec.fields.get(field, classes) == classes:
        return spec if field is None else replace(spec, fields={**spec.fields, field: classes})
    with entered(site):
        text = f"is {spec.fields[field]}, but {classes} classes were asked for; the network has {classes}"
        warn("W_CLASSES", text, field=field)
    return replace(spec, fields={**spec.fields, field: classes})
