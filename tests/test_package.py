"""The package as a whole: what a wheel carries, what an import costs, what is exported, how layers point."""

from __future__ import annotations

import ast
import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import hannah_hw

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ["torch", "onnx", "onnxruntime", "sklearn", "mlxtend", "pandas", "scipy"]
MODULES = ["hannah_hw", *(m.name for m in pkgutil.walk_packages(hannah_hw.__path__, "hannah_hw."))]
PACKAGES = [name for name in MODULES if importlib.util.find_spec(name).submodule_search_locations]  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    shutil.unpack_archive(built, folder / "site", "zip")
    return folder / "site"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of this tree, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(built, folder)
    return folder / built.name.removesuffix(".tar.gz")


def outside(wheel: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the unpacked wheel where the repository is not in sight."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HANNAH"))}
    return subprocess.run(
        [sys.executable, "-m", "hannah_hw", *arguments],
        cwd=wheel.parent,
        env={**environment, "PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_wheel_carries_catalogues_and_assets(wheel: Path) -> None:
    package = wheel / "hannah_hw"
    for kind in ("targets", "cost_models", "search_spaces", "examples"):
        shipped, tree = (
            {p.relative_to(folder) for p in folder.rglob("*") if "__pycache__" not in p.parts}
            for folder in (package / "catalog" / kind, ROOT / kind)
        )
        assert shipped == tree != set()
    assert (package / "catalog" / "cost_models" / "m4" / "cmsis_nn.yaml").is_file()
    assets, shipped = (root / "report" / "assets" for root in (ROOT / "hannah_hw", package))
    names = [p.relative_to(assets) for p in assets.rglob("*.*")]
    assert {"page.html", "page.css", "js/store.js"} <= {str(name) for name in names}
    for name in names:
        assert (shipped / name).read_bytes() == (assets / name).read_bytes()
    skeletons = Path("targets") / "skeletons" / "loop_nest.yaml"
    assert (package / skeletons).read_bytes() == (ROOT / "hannah_hw" / skeletons).read_bytes()
    assert (package / "py.typed").is_file()
    assert not (wheel / "tests").exists()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout, so what is tracked is not known")
def test_the_sdist_has_every_tracked_file(sdist: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    tracked = {line for line in listed.stdout.splitlines() if (ROOT / line).is_file()}
    assert len(tracked) > 1000
    assert {line for line in tracked if not (sdist / line).is_file()} == set()


def test_the_sdist_builds_the_same_wheel(sdist: Path, wheel: Path) -> None:
    built = sdist.parent / "wheel"
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(built), str(sdist)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    (archived,) = built.glob("*.whl")
    with zipfile.ZipFile(archived) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    ours = {p.relative_to(wheel).as_posix(): p.read_bytes() for p in wheel.rglob("*") if p.is_file()}
    assert {name for name in content.keys() | ours.keys() if content.get(name) != ours.get(name)} == set()


def test_tests_run_from_the_sdist(sdist: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "tests/expressions",
            "tests/test_catalog.py",
        ],
        cwd=sdist,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HANNAH", "PYTEST"))},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_classifiers_exist() -> None:
    from trove_classifiers import classifiers

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["classifiers"]) - classifiers == set()


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == hannah_hw.__version__
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


@pytest.mark.parametrize("kind", ["targets", "spaces"])
def test_the_wheel_lists_its_catalogue_outside_the_repository(wheel: Path, kind: str) -> None:
    done = outside(wheel, kind, "list", "--json")
    assert done.returncode == 0, done.stderr
    folder = ROOT / {"targets": "targets", "spaces": "search_spaces"}[kind]
    expected = {
        p.stem for p in folder.iterdir() if p.suffix in (".yaml", ".py") and not p.name.startswith("_")
    }
    assert {entry["name"] for entry in json.loads(done.stdout)} == expected


def test_the_wheel_prices_a_search_outside_the_repository(wheel: Path) -> None:
    done = outside(wheel, "search", "digits_quick", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["valid"] is True


@pytest.mark.parametrize("code", ["import hannah_hw", "import hannah_hw.cli", "import hannah_hw.__main__"])
def test_imports_are_light(code: str) -> None:
    if "__main__" in code:
        code = "import sys; sys.argv = ['hannah-hw', '--help']\nfrom hannah_hw.cli import main\nmain()"
    check = f"\nimport sys; sys.stderr.write(','.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code + check],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stderr == ""


def test_help_costs_little_more_than_the_packages_that_print_it() -> None:
    """Half a second of CPU on the machine it was written on, where those packages take a fifth."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def seconds(*arguments: str) -> float:
        before = os.times()
        subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, check=True
        )
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    spent, least = [], []
    while len(spent) < 10 and min(spent, default=1.0) >= 4 * min(least, default=0.0):
        spent.append(seconds("-m", "hannah_hw", "--help"))
        least.append(seconds("-c", "import typer, rich.table"))
    assert min(spent) < 4 * min(least)


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_exist_once(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    names = list(module.__all__)
    assert len(names) == len(set(names))
    for public in names:
        assert not public.startswith("_")
        assert getattr(module, public) is not None


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))


def test_every_layer_is_in_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    listed = {name.strip() for layer in contracts[0]["layers"] for name in layer.split("|")}
    parts = {f"hannah_hw.{m.name}" for m in pkgutil.iter_modules(hannah_hw.__path__) if m.name != "__main__"}
    assert parts == listed


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_file_of_the_tree_names_a_host_to_install_from() -> None:
    for name in ("constraints.txt", "pyproject.toml", "Makefile", ".ci/run"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert "index-url" not in text
    assert "torch==2.13.0\n" in (ROOT / "constraints.txt").read_text()


def test_doctor_knows_the_dependencies_of_pyproject() -> None:
    from hannah_hw.onboarding.packages import CORE, OPTIONAL

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {requirement.split(">=")[0] for requirement in project["dependencies"]}
    assert names == {package.name for package in CORE}
    extras = {
        (re.split("[>=]=|$", requirement)[0], extra)
        for extra, requirements in project["optional-dependencies"].items()
        for requirement in requirements
        if not requirement.startswith("hannah-hw")
    }
    assert extras == {(package.name, package.extra) for package in OPTIONAL}
