"""Small files in DeepSEA's layout, in all its forms."""

import numpy as np
import pytest

from helpers import dna

LABELS = 5
SEQUENCES = [dna(1000, seed) for seed in range(3)]
SEQUENCES[1] = SEQUENCES[1][:7] + "N" + SEQUENCES[1][8:]
TRUTH = np.random.default_rng(0).random((3, LABELS)) < 0.4


def one_hot(channels):
    """[rows, 4, bases]."""
    letters = np.array([list(sequence) for sequence in SEQUENCES])
    return np.stack([letters == letter for letter in channels], axis=1).astype(np.uint8)


def write_mat_5(path, channels="AGCT"):
    io = pytest.importorskip("scipy.io")
    io.savemat(path, {"validxdata": one_hot(channels), "validdata": TRUTH.astype(np.uint8)})


def write_mat_73(path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        file["trainxdata"] = one_hot("AGCT").transpose(2, 1, 0)
        file["traindata"] = TRUTH.T.astype(np.uint8)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" "))


def write_hdf5(path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["x"] = one_hot("AGCT").transpose(0, 2, 1)
        file["y"] = TRUTH.astype(np.uint8)


def write_csv(path):
    rows = [",".join([sequence, *map(str, row.astype(int))]) for sequence, row in zip(SEQUENCES, TRUTH, strict=True)]
    path.write_text("\n".join(rows) + "\n")
