"""Regenerate the golden files: `make golden`. Review the diff before committing it."""

from tests.support.deploy.helm import CASES

if __name__ == "__main__":
    for case in CASES:
        case.golden.write_text(case.render())
