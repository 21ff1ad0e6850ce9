"""Writes peft/adapter_config.json: every setting that peft 0.21.2 saves for a plain LoRA of rank 4 and alpha 16."""
import json
import os

from peft import LoraConfig

config = LoraConfig(r=4, lora_alpha=16, target_modules=["to_q", "to_k"], init_lora_weights="gaussian").to_dict()
text = {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "peft", "adapter_config.json"), "w") as f:
    f.write(json.dumps(text, indent=2, sort_keys=True, default=str) + "\n")
