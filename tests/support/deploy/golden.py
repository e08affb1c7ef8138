"""Writes the golden files anew: `make golden`. What has changed in them is for a human to read."""

from tests.support.deploy.helm import CASES

if __name__ == "__main__":
    for case in CASES:
        case.golden.write_text(case.render())
