"""The format ``hannah-space/1``: a family of networks as modules one after another.

::

    format: hannah-space/1
    name: variant                    # optional; the file's name otherwise
    input: [3, 32, 32]               # of one sample, without the batch
    modules:                         # name -> block, applied in this order
      init: {type: SmallInputInitialBlock, init_plane: {choice: [16, 32]}}
      head: {type: LinearClassificationHead, num_class: 10}
    process: [{type: Quant, nbit_w_list: 8, nbit_a_list: {choice: [4, 8]}}]   # optional, on the whole network
    search_algorithm: {type: BackboneNas}   # optional: for searches whose configuration names none

See `hannah_hw.spaces.declarative.registry` for blocks and `hannah_hw.spaces.declarative.values` for values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from hannah_hw.documents import Document, Path_, parse_document, read_document
from hannah_hw.errors import SpaceError
from hannah_hw.spaces.declarative.binding import parameter_id, short_path
from hannah_hw.spaces.declarative.forms import Form
from hannah_hw.spaces.declarative.lookup import Lookup
from hannah_hw.spaces.declarative.problems import Site, entered, problem, space_error, warn
from hannah_hw.spaces.declarative.references import BlockChoice, BlockField, BlockSpec, ProcessField
from hannah_hw.spaces.declarative.search_algorithm import AskedSearch, check_search, read_search
from hannah_hw.spaces.declarative.values import Positive
from hannah_hw.spaces.declarative.vega import Note, find_vega, upgrade
from hannah_hw.wording import dotted

FORMAT: Final = "hannah-space/1"

#: Shape of a sample where a document does not say.
DEFAULT_INPUT: Final = (3, 32, 32)

_NAME: Final = r"^[A-Za-z0-9_-]{1,64}$"


def _check_modules(modules: dict[str, Any]) -> dict[str, Any]:
    if "process" in modules:
        raise problem("E_MODULE", "is a section beside the modules, not one of them", loc=("process",))
    return modules


class SpaceModel(Form):
    """The fields of a document."""

    format: Literal["hannah-space/1"]
    name: str | None = Field(default=None, pattern=_NAME)
    input: list[Positive] = Field(default=list(DEFAULT_INPUT), min_length=2, max_length=3)
    modules: Annotated[
        dict[Annotated[str, Field(pattern=_NAME)], BlockField],
        Field(min_length=1),
        AfterValidator(_check_modules),
    ]
    process: list[ProcessField] = Field(default_factory=list)
    search_algorithm: Annotated[dict[str, Any], AfterValidator(check_search)] | None = None


@dataclass(frozen=True)
class SpaceDocument:
    """A validated document.

    Two documents are equal if they describe the same space, however they are written.

    Attributes:
        name: Name of the space.
        input: Shape of a sample, channels first.
        modules: Name -> block, in order.
        process: What is done to the whole network, in order.
        search_algorithm: What the document says about the search, as it is written; see `asked_search`.
        site: The document itself: places for messages, and the warnings so far.
        folder: Where its paths start; None for one without a file.
    """

    name: str
    input: tuple[int, ...]
    modules: Mapping[str, BlockSpec | BlockChoice]
    process: tuple[BlockSpec, ...] = ()
    search_algorithm: Mapping[str, Any] | None = None
    site: Site = field(default_factory=lambda: Site(parameter_id), compare=False, repr=False)
    folder: Path | None = field(default=None, compare=False, repr=False)

    @property
    def asked_search(self) -> AskedSearch | None:
        """How the document asks to be searched, if it does; a search configuration may name another algorithm."""
        return None if self.search_algorithm is None else read_search(self.search_algorithm)


def load_document(path: Path, *, allow_code: bool = False) -> SpaceDocument:
    """Read a document of the own format or of the dialect ``vega/0.9.3``.

    Args:
        path: The YAML file.
        allow_code: Whether types such as ``blocks.py:my_block`` may execute code.

    Raises:
        SpaceError: With file, line, column and path.
    """
    return _validated(read_document(path, SpaceError), path.stem, Lookup(path.resolve().parent, allow_code))


def parse_space(text: str, path: str = "space.yaml", *, lookup: Lookup | None = None) -> SpaceDocument:
    """A document from text.

    Args:
        text: YAML.
        path: Its file name, for messages and as the name of a space without one.
        lookup: What its types may name.

    Raises:
        SpaceError: See `load_document`.
    """
    return _validated(parse_document(text, path, SpaceError), Path(path).stem, lookup or Lookup())


def _validated(document: Document, stem: str, lookup: Lookup) -> SpaceDocument:
    data: Mapping[str, Any] = document.data
    moved: Mapping[Path_, Path_] = {}
    vega = None if "format" in data else find_vega(document)
    notes: list[Note] = []
    if vega is not None:
        with entered(Site(lambda path: _where(document, (*vega, *path), vega))):
            data, moved, notes = upgrade(data, vega)
    elif "format" not in data:
        raise SpaceError(
            f"this is no search space: the field 'format' is missing; write 'format: {FORMAT}' (a Vega document has "
            "a section with 'type: FineGrainedSpace')",
            code="E_FORMAT",
            where=document.where(()),
        )
    site = Site(lambda path: _where(document, _original(path, moved), vega))
    for note in notes:
        with entered(site.at(*note.path)):
            warn(note.code, note.message)
    try:
        model = SpaceModel.model_validate(data, context=lookup)
    except ValidationError as failure:
        raise space_error(failure, site) from failure
    name = model.name or re.sub(r"[^A-Za-z0-9_-]", "_", stem)[:64] or "space"
    return SpaceDocument(
        name,
        tuple(model.input),
        model.modules,
        tuple(model.process),
        model.search_algorithm,
        site,
        lookup.folder,
    )


def _original(path: Path_, moved: Mapping[Path_, Path_]) -> Path_:
    """Where the file has what an upgrade moved."""
    for length in range(len(path), -1, -1):
        if path[:length] in moved:
            return (*moved[path[:length]], *path[length:])
    return path


def _where(document: Document, path: Path_, vega: Path_ | None) -> str:
    """``file:line:column path``; the path is that in the section which is the space."""
    shown = path[len(vega) :] if vega is not None and path[: len(vega)] == vega else path
    text = dotted(short_path(shown) if vega is None else shown)
    return f"{document.place(path)} {text}".rstrip()
