"""A config.json that is right, and texts that are none, with a part of what is said of each."""

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 176, "vocab_size": 97,
}  # fmt: skip

HOSTILE = {
    "": "not JSON", "{": "not JSON", "nonsense": "not JSON", "[]": "an empty list", "[1]": "a list", "null": "null",
    '"x"': '"x"', "{}": "`model_type` is missing", '{"model_type": "lama"}': '"lama", which is not known',
    '{"model_type": 7}': "`model_type` is 7", '{"model_type": ["llama"]}': "`model_type` is a list",
    '{"model_type": "llama"}': "`hidden_size` is missing", '{"model_type": "__proto__"}': "not known",
    "x" * 200_001: "longer than 200000", '{"model_type": "llava", "text_config": {"model_type": "odd"}}': '"odd"',
}  # fmt: skip
