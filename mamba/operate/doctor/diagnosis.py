from typing import Literal, NamedTuple

Status = Literal["ok", "warning", "error"]


class Diagnosis(NamedTuple):
    part: str
    status: Status
    message: str
    fix: str = ""

    def json(self) -> dict[str, str]:
        """Return the finding under the key names of `mamba doctor --json`."""
        return {"part": self.part, "status": self.status, "finding": self.message, "fix": self.fix}
