"""Scoring candidates: data, training, and the accuracy of the int8 model."""

from hannah_hw.scoring.candidate import Score, candidate_seed, score_candidate
from hannah_hw.scoring.data import load_data
from hannah_hw.scoring.dataset import Dataset, build_dataset
from hannah_hw.scoring.parts import stratified_split
from hannah_hw.scoring.training import Training, TrainingResult, evaluate, train

__all__ = [
    "Dataset",
    "Score",
    "Training",
    "TrainingResult",
    "build_dataset",
    "candidate_seed",
    "evaluate",
    "load_data",
    "score_candidate",
    "stratified_split",
    "train",
]
