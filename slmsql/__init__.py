"""The library: questions, schemas, prompts, SQL execution, matching, scores."""
