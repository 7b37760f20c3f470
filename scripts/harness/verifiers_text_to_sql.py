"""Spider or BIRD as a taskset of `verifiers` 0.4: our prompt, our judge, the rewards of GRPO.

    PYTHONPATH=scripts/harness vf-eval verifiers-text-to-sql -n 50 --env.taskset.root SPIDER \\
        --env.agent.harness.id null --env.agent.runtime.type subprocess \\
        --model MODEL --client.base-url http://127.0.0.1:8000/v1 --no-push

The trace of each question has the rewards `execution` (weight 1.0) and `format` (weight 0.1), as
published for SLM-SQL. prime-rl trains on the same taskset.
"""

import verifiers.v1 as vf

from rewards import format_reward
from scripts.harness.asked import asked_questions, verdict

__all__ = ["TextToSqlTaskset"]


class TextToSqlData(vf.TaskData):
    """A question with what it takes to judge an answer."""

    gold_sql: str
    database: str
    match: str


class TextToSqlTask(vf.Task[TextToSqlData]):
    """One turn: the model reads schema and question and answers with a query."""

    @vf.reward(weight=1.0)
    async def execution(self, trace: vf.Trace) -> float:
        """1 if the query has the gold query's result."""
        data = self.data
        return verdict(trace.last_reply, data.gold_sql, data.database, data.match)

    @vf.reward(weight=0.1)
    async def format(self, trace: vf.Trace) -> float:
        """1 if the reply is one thought and one answer."""
        return format_reward([trace.last_reply])[0] or 0.0


class TextToSqlConfig(vf.TasksetConfig):
    """Where the questions come from: `--env.taskset.NAME VALUE`."""

    benchmark: str = "spider"
    root: str = "data/spider"
    split: str = "dev"
    limit: int = 0
    template: str = "think"
    match: str = "bird"


class TextToSqlTaskset(vf.Taskset[TextToSqlTask, TextToSqlConfig]):
    """The questions of a split that have a database and a gold query that runs."""

    def load(self) -> list[TextToSqlTask]:
        """One task for each question."""
        config = self.config
        questions = asked_questions(
            config.benchmark,
            config.root,
            config.split,
            limit=config.limit,
            template=config.template,
        )
        return [
            TextToSqlTask(
                TextToSqlData(
                    id=asked.question.id,
                    system_prompt=asked.text("system") or None,
                    prompt=asked.text("user"),
                    gold_sql=asked.gold_sql,
                    database=str(asked.question.database),
                    match=config.match,
                ),
                config.task,
            )
            for asked in questions
        ]
