"""Opening ONNX files in ONNX Runtime on this machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hannah_hw.errors import ModelError
from hannah_hw.host.files import check_files, free_memory
from hannah_hw.lowering.open_shapes import closed_shapes
from hannah_hw.quantities import format_bytes

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

#: Graph optimisation levels by name.
OPTIMISATIONS: Final = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}

_DTYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(uint32)": np.uint32,
    "tensor(int64)": np.int64,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}

#: Bytes of a number as `random_inputs` draws it.
_DRAWN_BYTES: Final = 8

#: How ONNX Runtime says which operator set and format it knows, and how large a buffer it could not get.
_NEWEST: Final = re.compile(r"Opset (\d+) is under development.*support for domain (\S+) is till opset (\d+)")
_FORMAT: Final = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
_BUFFER: Final = re.compile(r"Failed to allocate memory for requested buffer of size (\d+)")


@dataclass(frozen=True)
class InputSpec:
    """One input of a session: its name, element type and shape, symbolic axes resolved."""

    name: str
    dtype: Any
    shape: tuple[int, ...]


def open_session(
    source: str | Path | bytes,
    *,
    threads: int = 1,
    optimisation: str = "all",
    provider: str = "CPUExecutionProvider",
    profile_prefix: str | None = None,
    optimised_path: str | Path | None = None,
) -> InferenceSession:
    """A session on an ONNX file, with everything that decides its speed and its arithmetic stated.

    Signed int8 QDQ models run on integer kernels (``session.qdqisint8allowed=1``). Without that entry ONNX
    Runtime on x86 turns signed activations into unsigned ones, and its unsigned by signed kernels add pairs
    of products in 16 bits on machines with AVX2 but without VNNI, which saturates and costs accuracy.

    Args:
        source: Path or content of the model.
        threads: Threads within an operator; operators run one after another.
        optimisation: A key of `OPTIMISATIONS`.
        provider: Execution provider; no other is fallen back on.
        profile_prefix: Where the runtime writes its profile, if wanted.
        optimised_path: Where the optimised graph is written, if wanted.

    Raises:
        ModelError: The file or its external data is missing or truncated, is not ONNX, does not fit into memory, or
            holds an operator or an operator set that this runtime does not know; or the provider is not installed or
            cannot start, or the optimisation level is unknown.
    """
    import onnxruntime as ort

    where = "ONNX model" if isinstance(source, bytes) else str(source)
    available = ort.get_available_providers()
    if provider not in available:
        known = "is not installed" if provider in ort.get_all_providers() else "is unknown"
        raise ModelError(
            f"the execution provider {provider!r} {known}; take an installed one",
            where=where,
            allowed=available,
            given=provider,
        )
    if optimisation not in OPTIMISATIONS:
        raise ModelError(
            f"unknown optimisation level {optimisation!r}",
            where=where,
            allowed=OPTIMISATIONS,
            given=optimisation,
        )
    if threads < 1:
        raise ModelError(f"{threads} threads were asked for; at least 1 is needed", where=where)
    if not isinstance(source, bytes):
        check_files(Path(source))
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, OPTIMISATIONS[optimisation])
    options.log_severity_level = 4
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads == 1 else "1")
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    if optimised_path is not None:
        options.optimized_model_filepath = str(optimised_path)
    session = _open(source, options, provider, where)
    if provider not in session.get_providers():
        raise ModelError(
            f"the execution provider {provider!r} is installed but cannot start; check its driver and libraries, "
            f"or take {session.get_providers()[0]!r}",
            where=where,
        )
    return session


def _open(source: str | Path | bytes, options: SessionOptions, provider: str, where: str) -> InferenceSession:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        return ort.InferenceSession(
            source if isinstance(source, bytes) else str(source), options, providers=[provider]
        )
    except (state.InvalidProtobuf, state.NoModel, state.ModelLoadCanceled) as error:
        raise ModelError(f"not a complete ONNX file: {_reason(error)}", where=where) from error
    except (state.InvalidGraph, state.NotImplemented, state.Fail, state.InvalidArgument) as error:
        form = _FORMAT.search(str(error))
        if form is not None:
            raise ModelError(
                f"its format is IR version {form[1]}, and ONNX Runtime {ort.__version__} reads {form[2]} and older; "
                f"save it with ir_version = {form[2]}, or install a newer onnxruntime",
                where=where,
            ) from error
        newest = _NEWEST.search(str(error))
        if newest is not None:
            opset, domain, most = newest.groups()
            raise ModelError(
                f"its operators are those of {domain} opset {opset}, and ONNX Runtime {ort.__version__} has them to "
                f"opset {most}; export the model with that, or install a newer onnxruntime",
                where=where,
            ) from error
        unknown = unknown_operators(source)
        if unknown:
            raise ModelError(
                f"ONNX Runtime {ort.__version__} has no kernel for the operator {', '.join(unknown)}",
                where=where,
            ) from error
        raise ModelError(f"not a valid model: {_reason(error)}", where=where) from error
    except state.RuntimeException as error:
        raise ModelError(f"the model cannot be run: {_reason(error)}", where=where) from error


def run_once(session: InferenceSession, feeds: Mapping[str, NDArray[Any]], path: str | Path) -> None:
    """Run a session, to see whether it can.

    Raises:
        ModelError: It fails, or needs more memory than there is.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        session.run(None, dict(feeds))
    except (state.Fail, state.InvalidArgument, state.NotImplemented, state.RuntimeException) as error:
        buffer = _BUFFER.search(str(error))
        if buffer is not None:
            raise ModelError(
                f"not enough memory: it asks for {format_bytes(int(buffer[1]))} at once; give a smaller --shape",
                where=str(path),
            ) from error
        raise ModelError(f"the model fails while running: {_reason(error)}", where=str(path)) from error


def unknown_operators(source: str | Path | bytes) -> list[str]:
    """Operators of a model that no ONNX schema and no contributed schema of ONNX Runtime defines."""
    import onnx
    from google.protobuf.message import DecodeError
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

    try:
        if isinstance(source, bytes):
            model = onnx.load_from_string(source)
        else:
            model = onnx.load(str(source), load_external_data=False)
    except (OSError, DecodeError):
        return []
    known = {(schema.domain, schema.name) for schema in get_all_operator_schema()}
    local = {(function.domain, function.name) for function in model.functions}
    used = {(node.domain if node.domain != "ai.onnx" else "", node.op_type) for node in model.graph.node}
    return sorted(f"{domain}.{name}".lstrip(".") for domain, name in used - known - local)


def input_specs(
    session: InferenceSession,
    path: str | Path,
    shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
) -> list[InputSpec]:
    """Name, type and shape of a session's inputs.

    Args:
        session: An open session.
        path: The file, for messages.
        shape: The shape of the only input, or shapes by input name; needed where sizes are open. See
            `hannah_hw.lowering.open_shapes`: an open batch alone is taken as 1.

    Raises:
        ModelError: A size is left open, a shape contradicts the model, a type is not a tensor of numbers or texts, or
            the inputs do not fit into the memory that is free.
    """
    inputs = session.get_inputs()
    odd = next((value for value in inputs if value.type not in _DTYPES), None)
    if odd is not None:
        raise ModelError(
            f"the input {odd.name!r} is {odd.type}, not a tensor of numbers or texts", where=str(path)
        )
    shapes = closed_shapes({value.name: value.shape for value in inputs}, shape, where=str(path))
    needed, free = _DRAWN_BYTES * sum(map(prod, shapes.values())), free_memory()
    if needed > (sys.maxsize if free is None else free):
        has = "" if free is None else f", and {format_bytes(free)} of memory are free"
        raise ModelError(
            f"inputs of the shapes {', '.join(map(str, shapes.values()))} take {format_bytes(needed)}{has}; "
            "give a smaller --shape",
            where=str(path),
        )
    return [InputSpec(value.name, _DTYPES[value.type], shapes[value.name]) for value in inputs]


def random_inputs(specs: Sequence[InputSpec], seed: int = 0) -> dict[str, NDArray[Any]]:
    """Seeded inputs for timing: standard normal floats, integers over the whole range of 8 bits or 0 .. 1.

    Texts are those of 0 and 1.
    """
    rng = np.random.default_rng(seed)
    values: dict[str, NDArray[Any]] = {}
    for spec in specs:
        dtype = np.dtype(spec.dtype)
        if dtype.kind == "f":
            values[spec.name] = rng.standard_normal(spec.shape).astype(dtype)
        elif dtype.itemsize == 1 and dtype.kind in "ui":
            limits = np.iinfo(dtype)
            values[spec.name] = rng.integers(limits.min, limits.max + 1, spec.shape).astype(dtype)
        else:
            drawn = rng.integers(0, 2, spec.shape)
            values[spec.name] = drawn.astype(str if dtype.kind == "O" else dtype).astype(dtype)
    return values


def _reason(error: Exception) -> str:
    """The first line of a runtime's message, without its internal code."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return first.removeprefix("[ONNXRuntimeError] : ").strip()
