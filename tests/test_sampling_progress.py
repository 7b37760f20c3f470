"""Progress in a log: lines, not control characters."""

from slmsql.sampling.progress import Progress


def test_a_log_gets_lines_with_the_questions_and_the_rate_of_tokens(capsys):
    progress = Progress("generate", total=5, done=3)
    progress.step(tokens=100)
    progress.step(tokens=100)
    progress.finish()
    shown = capsys.readouterr().err.strip()
    assert "\r" not in shown
    assert "5/5" in shown.splitlines()[-1]
    assert "tokens/s" in shown.splitlines()[-1]
