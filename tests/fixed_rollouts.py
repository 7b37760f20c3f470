"""`rl/grpo.py` with completions that are given instead of sampled.

A real training in all else. Used where runs must be compared that would not sample alike, and to
put into a training what no tiny model would write.
"""

from dataclasses import dataclass, field
from pathlib import Path

from rl.grpo import check_run, train
from rl.options import Options
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import run_program
from slmsql.files import read_json


@dataclass
class Fixed(Options):
    completions: str = field(default="", metadata={"help": "JSON: row id -> texts of its group"})


def main() -> None:
    options, (training, model) = parse_with_trainer(
        Fixed, ["trl:GRPOConfig", "trl:ModelConfig"], about=__doc__
    )
    texts = read_json(Path(options.completions))
    run = check_run(options, training, model)
    ids = {row["prompt"][-1]["content"]: row["id"] for row in run.rows}

    def roll_out(prompts, trainer):
        tokenizer = trainer.processing_class
        first = trainer.accelerator.process_index * len(prompts)
        completions = [
            texts[ids[prompt[-1]["content"]]][(first + place) % training.num_generations]
            for place, prompt in enumerate(prompts)
        ]
        rendered = [
            tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
            for prompt in prompts
        ]
        ends = [[*tokenizer.encode(text), tokenizer.eos_token_id] for text in completions]
        return {
            "prompt_ids": [tokenizer.encode(text) for text in rendered],
            "completion_ids": ends,
            "logprobs": None,
        }

    train(run, rollout_func=roll_out)


if __name__ == "__main__":
    run_program(main)
