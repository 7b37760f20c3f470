"""What SFT and GRPO share.

In: files of rows, TRL's arguments, a trainer. Out: checks before a model is loaded, validation
while it trains, checkpoints, `run.json`, the model card and the upload. Imports evaluation, prompt
and the rooms above them; torch, transformers and TRL only inside functions.

    rows          reads and checks the rows of both programs
    model_check   finds a missing model in seconds
    model_options refuses attention that is not installed, and weights too coarse to train
    recomputation makes a model keep less of its forward pass, on the CPU
    run_record    `run.json`, and whether a run may resume under the present settings
    adapters      the base of a LoRA adapter, training one further
    checkpoints   when one is complete, which one a run resumes from, which ones are kept
    validation    execution accuracy on held-out questions; samples shows its answers in trackers
    tracking      what trackers get besides metrics; a resumed training stays one run in wandb
    publish       saves, writes the model card (model_card) and uploads
    shutdown      ends several processes together
"""
