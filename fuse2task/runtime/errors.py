"""The two kinds of failure that a user sees, with the exit codes of the command line."""

from collections.abc import Iterable


class Fuse2TaskError(Exception):
    """The work failed. The message is one readable text that names the file and the mend."""

    exit_code = 1

    def __str__(self) -> str:
        # Names of files and classes may hold anything: what would move a terminal's cursor is shown escaped.
        return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in super().__str__())


class RequestError(Fuse2TaskError):
    """The request was wrong: bad file, bad recipe, mismatched pairs."""

    exit_code = 2


def listing(problems: Iterable[str], limit: int = 20) -> str:
    """Problems as indented lines, at most `limit` of them, then how many more there are."""
    problems = list(problems)
    lines = [f"  {problem}" for problem in problems[:limit]]
    if len(problems) > limit:
        lines.append(f"  ... and {len(problems) - limit} more")
    return "\n".join(lines)
