import re
from pathlib import Path

from mamba.settings_table import page
from worker import failures

ROOT = Path(__file__).parents[2]


def test_the_configuration_page_is_made_from_the_settings() -> None:
    assert (ROOT / "docs/configuration.md").read_text() == page()


def test_the_errors_page_has_each_failure_as_the_code_has_it() -> None:
    failed = (ROOT / "docs/errors.md").read_text().partition("## Failed answers")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (yes)? *\|$", failed, re.MULTILINE)

    documented = {code: (text, bool(retried)) for code, text, retried in rows}
    assert "lost" in documented
    del documented["lost"]
    assert documented == {f.code: (f.text, f.retried) for f in failures.ALL}


def test_every_file_that_the_readme_and_the_docs_link_to_exists() -> None:
    for page_path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"), ROOT / "clients/README.md"):
        links = re.findall(r"\]\(([^)#:]+)\)", page_path.read_text())
        missing = [link for link in links if not (page_path.parent / link).exists()]
        assert not missing, page_path
