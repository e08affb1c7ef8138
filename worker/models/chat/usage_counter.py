"""Determines the token usage of a response from several reports of it.

Most servers report a running count, some the tokens of each chunk. The sequence shows which: a
running count grows with the output and never falls.
"""

from openai.types.completion_usage import CompletionUsage


class UsageCounter:
    def __init__(self) -> None:
        self._highest: CompletionUsage | None = None
        self._chunks_with_output = 0
        #: Whether output has arrived since the last report.
        self._new_output = False
        self._last = self._sum = 0
        self._rises = self._repetitions = self._falls = 0

    def note_output(self) -> None:
        self._chunks_with_output += 1
        self._new_output = True

    def add(self, usage: CompletionUsage) -> CompletionUsage:
        """Return the usage so far, including this report."""
        old, self._highest = self._highest, _highest(self._highest, usage)
        if count := usage.completion_tokens:
            prompt_falls = old is not None and usage.prompt_tokens < old.prompt_tokens
            self._compare(count, prompt_falls=prompt_falls)
        self._new_output = False
        if not self._counts_chunks:
            return self._highest
        total = self._highest.prompt_tokens + self._sum
        counts = {"completion_tokens": self._sum, "total_tokens": total}
        return self._highest.model_copy(update=counts)

    def _compare(self, count: int, *, prompt_falls: bool) -> None:
        if self._last and self._new_output:
            self._rises += count > self._last
            self._repetitions += count == self._last
        if count < self._last and (self._new_output or prompt_falls):
            self._falls += 1
        # Without new output, a higher count is the one of the whole response.
        is_part = self._new_output or count < self._sum
        self._sum = self._sum + count if is_part else count
        self._last = count

    @property
    def _counts_chunks(self) -> bool:
        """Whether the reports count the tokens of each chunk."""
        too_low = self._highest is not None and (
            self._highest.completion_tokens < self._chunks_with_output
        )
        return self._falls > 0 or (self._repetitions > self._rises and too_low)


def _highest(old: CompletionUsage | None, new: CompletionUsage) -> CompletionUsage:
    """Return the higher value of each count."""
    if old is None:
        return new
    prompt = max(old.prompt_tokens, new.prompt_tokens)
    completion = max(old.completion_tokens, new.completion_tokens)
    return new.model_copy(
        update={
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": max(old.total_tokens, new.total_tokens, prompt + completion),
            "prompt_tokens_details": new.prompt_tokens_details or old.prompt_tokens_details,
            "completion_tokens_details": (
                new.completion_tokens_details or old.completion_tokens_details
            ),
        }
    )
