"""Prints how far the probe's tensors are from diffusers', relative to the largest number: one line for a table.

usage: compare.py CASE_FOLDER ANSWER.safetensors     exit code 1 if one differs by more than 1e-4
"""
import sys
from pathlib import Path

from safetensors.torch import load_file


def main(case, answer):
    found, expected = load_file(answer), load_file(case / "expected.safetensors")
    errors = {name: ((found[name].double() - value.double()).abs().max() / value.abs().max()).item()
              for name, value in expected.items()}
    print(f"{case.name}: " + ", ".join(f"{name} {error:.1e}" for name, error in errors.items()))
    sys.exit(not all(error <= 1e-4 for error in errors.values()))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
