"""ast-grep rules for dangerous patterns in languages other than Python, which ruff checks.

The list contains only patterns that are almost always wrong, to avoid false positives.
"""

from worker.review.rules.jvm import JVM_RULES
from worker.review.rules.rule import Rule
from worker.review.rules.scripts import SCRIPT_RULES
from worker.review.rules.systems import SYSTEMS_RULES
from worker.review.rules.web import WEB_RULES

RULES: tuple[Rule, ...] = (*WEB_RULES, *JVM_RULES, *SYSTEMS_RULES, *SCRIPT_RULES)

__all__ = ["RULES", "Rule"]
