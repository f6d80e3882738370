"""Other search engines, each driven through a `Ledger` on the same columns.

A peer sees every column at all times (repeats that differ in dead columns only are free), real columns in [0, 1],
integers, and unordered categories. Population 50 where there is one, as in the comparison that pymoo's and
optuna's defaults lie next to (100 and 50).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from benchmarks.search.accounting import Ledger, violation
from hannah_hw.search.protocols import Encoding

POPULATION: Final = 50


def random_search(ledger: Ledger, seed: int) -> None:
    """Independent uniform candidates."""
    rng = np.random.default_rng(seed)
    while True:
        ledger(ledger.problem.columns.sample(500, rng))


def aging_evolution(ledger: Ledger, seed: int) -> None:
    """Aging evolution as uNAS and HANNAH run it: population 100, tournaments of 25 under random weights, mutation only.

    Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019; weights of the
    Tchebycheff norm as in Liberis et al., "uNAS", EuroMLSys 2021, drawn anew for every tournament; excess of
    constraints counts tenfold. A mutation changes 1.5 columns on average: another category, or a normal step of 15 %
    of the range.
    """
    columns, rng = ledger.problem.columns, np.random.default_rng(seed)
    rows = np.zeros((0, len(columns.ids)))
    objectives, excess = np.zeros((0, len(ledger.problem.reference))), np.zeros(0)
    top = np.where(columns.levels == 0, 1, columns.levels - 1).astype(float)
    while True:
        if len(rows) < 100:
            row = columns.sample(1, rng)
        else:
            weights = rng.dirichlet(np.ones(objectives.shape[1]))
            entrants = rng.choice(100, 25, replace=False)
            score = (weights * objectives[entrants]).max(axis=1) + 10 * excess[entrants]
            row = rows[entrants[score.argmin()]][None]
            moved = rng.random(row.shape) < 1.5 / row.shape[1]
            stepped = row + rng.normal(size=row.shape) * 0.15 * top
            drawn = np.floor(rng.random(row.shape) * (top + 1))
            row = columns.canonical(np.where(moved, np.where(columns.ordered, stepped, drawn), row))
        values, over = ledger(row)
        rows = np.concatenate([rows, row])[-100:]
        objectives = np.concatenate([objectives, values])[-100:]
        excess = np.concatenate([excess, violation(over)])[-100:]


def pymoo_nsga2(ledger: Ledger, seed: int, *, fixed: bool) -> None:
    """NSGA-II of pymoo on its mixed variables.

    Args:
        ledger: Gives values.
        seed: Fixes the run.
        fixed: With parents from binary tournaments and each column mutated with probability 1.5 / D; by default
            pymoo takes random parents and mutates every category with probability 0.5.
    """
    from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
    from pymoo.core.mixed import MixedVariableDuplicateElimination, MixedVariableMating, MixedVariableSampling
    from pymoo.core.problem import Problem
    from pymoo.core.variable import Choice, Integer, Real
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.crossover.ux import UX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.mutation.rm import ChoiceRandomMutation
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.selection.tournament import TournamentSelection
    from pymoo.problems.static import StaticProblem

    columns = ledger.problem.columns
    kinds = {
        name: Real(bounds=(0.0, 1.0))
        if levels == 0
        else Integer(bounds=(0, levels - 1))
        if ordered
        else Choice(options=list(range(levels)))
        for name, levels, ordered in _columns(columns)
    }
    probe = ledger.problem.known(columns.default[None])
    limits = probe[1].shape[1] if ledger.problem.screened else 1
    problem = Problem(vars=kinds, n_obj=len(ledger.problem.reference), n_ieq_constr=limits)
    unique = MixedVariableDuplicateElimination()
    mating = MixedVariableMating(eliminate_duplicates=unique)
    if fixed:
        rate, whole = 1.5 / len(kinds), {"vtype": float, "repair": RoundingRepair()}
        mating = MixedVariableMating(
            selection=TournamentSelection(func_comp=binary_tournament),
            eliminate_duplicates=unique,
            crossover={Real: SBX(), Integer: SBX(**whole), Choice: UX()},
            mutation={
                Real: PM(prob_var=rate),
                Integer: PM(prob_var=rate, **whole),
                Choice: ChoiceRandomMutation(prob_var=rate),
            },
        )
    algorithm = NSGA2(
        pop_size=POPULATION, sampling=MixedVariableSampling(), mating=mating, eliminate_duplicates=unique
    )
    algorithm.setup(problem, termination=("n_gen", 1_000_000), seed=seed, verbose=False)
    while True:
        asked = algorithm.ask()
        rows = columns.canonical(np.array([[x[name] for name in columns.ids] for x in asked.get("X")], float))
        objectives, excess = ledger(rows)
        algorithm.evaluator.eval(StaticProblem(problem, F=objectives, G=excess), asked)
        algorithm.tell(infills=asked)


def optuna_sampler(ledger: Ledger, seed: int, *, tpe: bool) -> None:
    """Optuna's NSGA-II (population 50) or its TPE, with constraints, in memory."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    columns = ledger.problem.columns
    domains: dict[str, Any] = {
        name: optuna.distributions.FloatDistribution(0.0, 1.0)
        if levels == 0
        else optuna.distributions.IntDistribution(0, levels - 1)
        if ordered
        else optuna.distributions.CategoricalDistribution(list(range(levels)))
        for name, levels, ordered in _columns(columns)
    }

    def limits(trial: optuna.trial.FrozenTrial) -> list[float]:
        return trial.user_attrs["excess"]

    sampler = (
        optuna.samplers.TPESampler(seed=seed, constraints_func=limits)
        if tpe
        else optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed, constraints_func=limits)
    )
    directions = ["minimize"] * len(ledger.problem.reference)
    study = optuna.create_study(directions=directions, sampler=sampler)
    while True:
        trial = study.ask(domains)
        row = columns.canonical(np.array([[trial.params[name] for name in columns.ids]], float))
        objectives, excess = ledger(row)
        trial.set_user_attr("excess", excess[0].tolist())
        study.tell(trial, objectives[0].tolist())


def nevergrad_search(ledger: Ledger, seed: int) -> None:
    """What nevergrad's NGOpt chooses for the space and the budget, with constraint violations."""
    import nevergrad as ng

    warnings.simplefilter("ignore")
    logging.getLogger("nevergrad").setLevel(logging.ERROR)
    columns = ledger.problem.columns
    space = ng.p.Dict(
        **{
            name: ng.p.Scalar(lower=0.0, upper=1.0)
            if levels == 0
            else ng.p.Scalar(lower=0, upper=levels - 1).set_integer_casting()
            if ordered
            else ng.p.Choice(list(range(levels)))
            for name, levels, ordered in _columns(columns)
            if levels != 1
        }
    )
    space.random_state.seed(seed)
    optimizer = ng.optimizers.NGOpt(parametrization=space, budget=ledger.budget, num_workers=1)
    optimizer.num_objectives = len(ledger.problem.reference)
    while True:
        asked = optimizer.ask()
        row = columns.canonical(np.array([[asked.value.get(name, 0) for name in columns.ids]], float))
        objectives, excess = ledger(row)
        optimizer.tell(asked, objectives[0].tolist(), constraint_violation=np.maximum(excess[0], 0).tolist())


def _columns(columns: Encoding) -> list[tuple[str, int, bool]]:
    return [
        (name, int(levels), bool(ordered))
        for name, levels, ordered in zip(columns.ids, columns.levels, columns.ordered, strict=True)
    ]


#: Name -> (run, most evaluations that are affordable, most requests per evaluation).
#: An optuna trial takes 3 ms of CPU time with NSGA-II, 30 to 100 with TPE; a request of NGOpt 20 to 50.
PEERS: Final[dict[str, tuple[Callable[[Ledger, int], None], int, int]]] = {
    "random": (random_search, 2000, 300),
    "aging-unas": (aging_evolution, 2000, 30),
    "pymoo-nsga2": (lambda ledger, seed: pymoo_nsga2(ledger, seed, fixed=False), 2000, 10),
    "pymoo-nsga2-fixed": (lambda ledger, seed: pymoo_nsga2(ledger, seed, fixed=True), 2000, 10),
    "optuna-nsga2": (lambda ledger, seed: optuna_sampler(ledger, seed, tpe=False), 300, 10),
    "optuna-tpe": (lambda ledger, seed: optuna_sampler(ledger, seed, tpe=True), 300, 4),
    "nevergrad-ngopt": (nevergrad_search, 300, 4),
}
