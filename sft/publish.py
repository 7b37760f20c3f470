"""Put a finished model on the hub, when asked to."""

import time
from pathlib import Path

from slmsql.errors import InputError

ATTEMPTS = 5
NOT_PUBLISHED = ["checkpoint-*/*", "runs/*", "training_args.bin", "samples.jsonl", ".cache/*"]


def publish(folder: Path, *, name: str, private: bool, token: str | None) -> None:
    """Upload a folder; files that arrived are not sent again, also not by a later call.

    Raises:
        InputError: it failed `ATTEMPTS` times; the model lies in its folder as before.
    """
    from httpx import HTTPError
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            # The hub's answer has the owner, whom `name` may leave out.
            repo = api.create_repo(name, private=private, exist_ok=True).repo_id
            api.upload_folder(repo_id=repo, folder_path=folder, ignore_patterns=NOT_PUBLISHED)
            return
        except (HTTPError, OSError, RuntimeError) as error:  # the last is a file's failed upload
            reason = " ".join(str(error).split())
            print(f"push to {name}, attempt {attempt} of {ATTEMPTS}: {reason:.200}")
            time.sleep(2.0**attempt)
    raise InputError(f"{folder} could not be pushed to {name}: {reason:.200}; run it again later")
