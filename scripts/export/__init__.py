"""A checkpoint as GGUF files for llama.cpp and Ollama: writing, quantising, checking.

In: a model folder of transformers. Out: GGUF files and an Ollama Modelfile, each checked against
the folder. Uses the packages `gguf` (the file format) and `xllamacpp` (llama.cpp itself).
"""
