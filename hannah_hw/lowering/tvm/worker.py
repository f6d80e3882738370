"""What the worker process does: ``python -m hannah_hw.lowering.tvm.worker``.

One JSON document a line. A request is ``{"do": NAME, "model": PATH, ...}``; an answer is ``{"done": ...}`` or
``{"error": KIND, "message": TEXT}``, each with ``cpu_s``, the processor seconds that it took. The first line that it
writes, ``{"ready": ...}``, comes when TVM is imported. It ends when its input does.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import warnings
from typing import IO, Any, Final

#: What a request may ask for -> the module of this package whose ``answer(model, request, primitives)`` does it:
#: ``model`` is an `onnx.ModelProto`, ``request`` the whole request, ``primitives`` what is known of kernels from models
#: before. It returns what JSON can hold; files go where the request says.
HANDLERS: Final = {
    "assemble": "assembling",
    "c_source": "c_source",
    "lower": "lowering",
    "run": "running",
}


def main() -> None:
    """Serve requests until the input ends."""
    # TVM and its importer print; what they print must not get among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    import tvm

    from hannah_hw.lowering.tvm.primitive import Primitives

    primitives = Primitives()
    _answer(answers, {"ready": str(tvm.__version__)})
    for line in sys.stdin:
        started = time.process_time()
        answer = _served(json.loads(line), primitives)
        _answer(answers, answer | {"cpu_s": time.process_time() - started})


def _served(request: dict[str, Any], primitives: Any) -> dict[str, Any]:
    import onnx
    import tvm

    from hannah_hw.lowering.tvm.lowering import UnknownOperation

    handler = importlib.import_module(f"hannah_hw.lowering.tvm.{HANDLERS[request['do']]}")
    try:
        return {"done": handler.answer(onnx.load(request["model"]), request, primitives)}
    except (tvm.error.OpNotImplemented, UnknownOperation) as error:
        return {"error": "unsupported", "message": _first_line(error)}
    except Exception as error:  # noqa: BLE001 (TVM raises errors of many kinds about a model; the process is sound after it)
        return {"error": "failed", "message": f"{type(error).__name__}: {_first_line(error)}"}


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _answer(stream: IO[str], document: dict[str, Any]) -> None:
    stream.write(json.dumps(document) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
