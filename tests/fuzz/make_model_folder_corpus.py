"""Writes the seed files of fuzz_config, fuzz_tokenizer, fuzz_texts and fuzz_toml.

Small valid inputs, and ones with a single flaw each.

usage: make_model_folder_corpus.py FOLDER (gets the folders config, tokenizer, texts and toml)
"""
import json
import os
import sys

UNET = {"_class_name": "UNet2DConditionModel", "sample_size": 8, "in_channels": 4, "out_channels": 4,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "mid_block_type": "UNetMidBlock2DCrossAttn", "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "block_out_channels": [4, 8], "layers_per_block": 1,
        "norm_num_groups": 2, "cross_attention_dim": 6, "attention_head_dim": 2}
VAE = {"_class_name": "AutoencoderKL", "block_out_channels": [4, 8], "down_block_types": ["DownEncoderBlock2D"] * 2,
       "up_block_types": ["UpDecoderBlock2D"] * 2,
       "layers_per_block": 1, "norm_num_groups": 2, "sample_size": 16}
TEXT = {"model_type": "clip_text_model", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": 20,
        "max_position_embeddings": 7, "projection_dim": 4, "eos_token_id": 19}
IMAGE = {"model_type": "clip_vision_model", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
         "num_attention_heads": 2, "image_size": 8,
         "patch_size": 4, "projection_dim": 4}
SCHEDULER = {"_class_name": "DDIMScheduler", "num_train_timesteps": 10, "beta_start": 0.00085, "beta_end": 0.012,
             "beta_schedule": "scaled_linear", "steps_offset": 1}

CLIP = {"model_type": "clip", "projection_dim": 4, "text_config": TEXT, "vision_config": IMAGE}
OWL = {"model_type": "owlvit", "projection_dim": 8, "text_config": {**TEXT, "model_type": "owlvit_text_model"},
       "vision_config": {**IMAGE, "model_type": "owlvit_vision_model"}}
BLIP = {"vit": {"image_size": 8, "patch_size": 4, "width": 8, "depth": 1, "heads": 2},
        "med_config": {"model_type": "bert", "hidden_act": "gelu", "hidden_size": 8, "intermediate_size": 16,
                       "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 30,
                       "max_position_embeddings": 40, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
                       "pad_token_id": 0, "encoder_width": 8, "add_cross_attention": True}}
PREPROCESSOR = {"do_resize": True, "size": {"shortest_edge": 8}, "resample": 3, "do_center_crop": True,
                "crop_size": {"height": 8, "width": 8}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}

INDEX = {"_class_name": "StableDiffusionXLPipeline", "text_encoder": ["transformers", "CLIPTextModel"],
         "force_zeros_for_empty_prompt": True}


def config(kind, value, **changes):
    return kind.encode() + json.dumps({**value, **changes}, separators=(",", ":")).encode()


CONFIG = {
    "unet": config("u", UNET),
    "unet_sdxl": config("u", UNET, addition_embed_type="text_time", addition_time_embed_dim=4,
                        projection_class_embeddings_input_dim=32, use_linear_projection=True,
                        transformer_layers_per_block=[1, 2], attention_head_dim=[1, 2]),
    "unet_huge": config("u", UNET, block_out_channels=[4, 1 << 62]),
    "unet_lists": config("u", UNET, layers_per_block=[1]),
    "unet_layers": config("u", UNET, layers_per_block=1000000000),
    "vae": config("v", VAE),
    "vae_levels": config("v", VAE, block_out_channels=[4] * 70, down_block_types=["DownEncoderBlock2D"] * 70,
                         up_block_types=["UpDecoderBlock2D"] * 70),
    "vae_groups": config("v", VAE, norm_num_groups=0),
    "text": config("t", TEXT),
    "text_huge": config("t", TEXT, vocab_size=1 << 60),
    "text_heads": config("t", TEXT, num_attention_heads=3),
    "image": config("i", IMAGE),
    "image_huge": config("i", IMAGE, image_size=1 << 40, patch_size=1),
    "scheduler": config("s", SCHEDULER),
    "scheduler_class": config("s", SCHEDULER, _class_name=3),
    "scheduler_steps": config("s", SCHEDULER, num_train_timesteps=1 << 50),
    "scheduler_offset": config("s", SCHEDULER, steps_offset=(1 << 63) - 1),
    "scheduler_snr": config("s", SCHEDULER, num_train_timesteps=1, rescale_betas_zero_snr=True),
    "scheduler_trained": config("s", SCHEDULER, num_train_timesteps=3, trained_betas=[0.1, 0.2, 0.3],
                                timestep_spacing="linspace"),
    "scheduler_infinity": b's{"lambda_min_clipped": -Infinity, "beta_schedule": "squaredcos_cap_v2", '
                          b'"num_train_timesteps": 20}',
    "index": b'w{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00002.safetensors",'
             b'"b":"model-00002-of-00002.safetensors"}}',
    "index_elsewhere": b'w{"weight_map":{"a":"../model.safetensors"}}',
    "index_pickle": b'w{"weight_map":{"a":"pytorch_model.bin"}}',
    "index_zero": b'w{"weight_map":{"a":"..\\u0000.safetensors"}}',
    "index_empty": b'w{"weight_map":{}}',
    "pipeline": config("m", INDEX),
    "pipeline_refiner": config("m", INDEX, requires_aesthetics_score=True, text_encoder=[None, None]),
    "pipeline_parts": config("m", INDEX, text_encoder=[], force_zeros_for_empty_prompt="yes"),
    "clip": config("c", CLIP),
    "clip_flat": config("c", CLIP, text_config=None),
    "clip_huge": config("c", CLIP, projection_dim=1 << 60),
    "clip_open": config("c", {"embed_dim": 4, "vision_cfg": {"width": 8, "head_width": 4, "layers": 1, "patch_size": 4,
                                                             "image_size": 8},
                              "text_cfg": {"width": 8, "heads": 2, "layers": 1, "vocab_size": 20,
                                           "context_length": 7}}),
    "owl": config("o", OWL),
    "blip": config("b", BLIP),
    "blip_huge": config("b", {**BLIP, "vit": {**BLIP["vit"], "depth": 1 << 60}}),
    "blip_head": config("b", BLIP, head=[4, 1 << 60]),
    "blip_patches": config("b", {**BLIP, "vit": {**BLIP["vit"], "image_size": 4096, "patch_size": 1}}),
    "preprocessor": config("p", PREPROCESSOR),
    "preprocessor_huge": config("p", PREPROCESSOR, size=1 << 62),
    "preprocessor_square": config("p", PREPROCESSOR, size={"height": 8, "width": 8}, do_center_crop=False),
    "preprocessor_zero": config("p", PREPROCESSOR, crop_size=0, image_std=[0, 0, 0]),
    "deep": b"u" + b'{"a":' + b"[" * 200,
    "twice": b's{"beta_start":0.1,"beta_start":0.2}',
    "not_an_object": b"t[1,2]",
}

WORDS = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "a</w>": 3, "b": 4, "b</w>": 5, "ab": 6, "ab</w>": 7,
         "aab</w>": 8, "!": 9, "!</w>": 10, "1</w>": 11}
VOCABULARY = json.dumps(WORDS)
MERGES = "#version: 0.2\na b\na b</w>\na ab</w>\n"
SETTINGS = json.dumps({"bos_token": "<|startoftext|>", "pad_token": "!", "model_max_length": 77,
                       "unk_token": {"content": "<|endoftext|>", "normalized": True}})
SERIALIZED = json.dumps({"added_tokens": [{"content": "<|endoftext|>", "normalized": False}],
                         "model": {"type": "BPE", "vocab": WORDS, "merges": ["a b", ["a", "b</w>"]]}})


def folder(vocabulary="", merges="", settings="", serialized="", text="", added=""):
    return "\x1e".join([vocabulary, merges, settings, serialized, text] + [added] * bool(added)).encode()


BERT = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\ncat\n##s\n.\n"
BERT_SERIALIZED = json.dumps({"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                                        "max_input_chars_per_word": 100,
                                        "vocab": {word: i for i, word in enumerate(BERT.split())}},
                              "normalizer": {"type": "BertNormalizer", "lowercase": True},
                              "pre_tokenizer": {"type": "BertPreTokenizer"}})


TOKENIZER = {
    "plain": folder(VOCABULARY, MERGES, "", "", "aab ab! a1 AB"),
    "settings": folder(VOCABULARY, MERGES, SETTINGS, "", "ab <|ENDOFTEXT|> b"),
    "serialized": folder("", "", "", SERIALIZED, "abab"),
    "unicode": folder(VOCABULARY, MERGES, "", "", "\u0130e\u0301 \u1100\u1161 \u00bd\u00a0\U0010ffff it's"),
    "specials": folder(VOCABULARY, MERGES, "", "", "a<|startoftext|><|endoftext|><|end"),
    "negative_id": folder('{"<|startoftext|>":-1}', MERGES),
    "big_id": folder('{"<|startoftext|>":9223372036854775808}', MERGES),
    "merge_unknown": folder(VOCABULARY, "a zz\n"),
    "merge_three": folder(VOCABULARY, "a b c\n"),
    "flag_type": folder(VOCABULARY, MERGES, '{"bos_token":{"content":"<|startoftext|>","normalized":3}}', "", "a"),
    "length": folder(VOCABULARY, MERGES, '{"model_max_length":-1e300}', "", "a"),
    "serialized_list": folder(VOCABULARY, MERGES, "", "[1]", "a"),
    "bad_utf8": folder(VOCABULARY, MERGES) + b"a\xff",
    "added": folder(VOCABULARY, MERGES, "", "", "a<new>b", '{"<new>": 12}'),
    "added_below": folder(VOCABULARY, MERGES, "", "", "a<new>b", '{"<new>": -1}'),
    "bert": folder("", BERT, '{"do_lower_case": true}', "", "Cats. a\u0301 \u4e2d"),
    "bert_serialized": folder("", "", "", BERT_SERIALIZED, "a cats dog"),
    "bert_no_unknown": folder("", "[CLS]\n[SEP]\na\n", "", "", "b"),
}

SCORES = '{"results": [{"reward": {"reward": 0.5}}, {"reward": {"reward": 1}}]'
TEXTS = {
    "lines": "l# note\na cat\n\n a dog \r\n".encode(),
    "lines_mark": b"l\xef\xbb\xbfa cat",
    "lines_wide": b"l\xff\xfea\0\n\0b\0",
    "jsonl": b'j{"prompt": "a", "tag": "two"}\n\n{"prompt": "\\ud83d\\ude00"}\n',
    "jsonl_half": b'j{"prompt": "\\ud83d"}',
    "json": b'a["a", {"prompt": "b"}]',
    "csv": b'cPrompts,Category\n"a, ""b""\nc",x\n\nd\n',
    "csv_open": b'cprompt\n"a',
    "tsv": b'tPrompt\tChallenge\n"a\tb\nc\td\n',
    "scores": ("s" + SCORES + ', "errors": [{}, {"reward": "no"}], "ids": ["b", "a"]}').encode(),
    "scores_nan": ("s" + SCORES.replace("0.5", "NaN") + "}").encode(),
    "scores_twice": ("s" + SCORES + ', "ids": ["a", "a"]}').encode(),
    "chat": b'm{"choices": [{"message": {"content": "7.5."}}]}',
    "chat_parts": b'm{"choices": [{"message": {"content": [{"type": "text", "text": "Yes"}]}}]}',
    "chat_range": b'm{"choices": [{"message": {"content": "1e999"}}]}',
    "peft": b'p{"r": 4, "lora_alpha": 8, "use_rslora": true, "alpha_pattern": {"to_q": 2, "mid.*to_k": 1e300}}',
    "peft_pattern": b'p{"r": 4, "lora_alpha": 8, "rank_pattern": {"(((": 2}}',
    "peft_dora": b'p{"unet.r": 4, "unet.use_dora": true}',
}

TOML = {
    "demo": b'# note\nmethod = "drtune"\nsteps = 20\nguidance = 3.0\ntargets = ["to_q", "to_k"]\nresume = true\n',
    "table": b"[tune]\nupdates = 3\n[tune.deep]\nrank = 4\n",
    "literal": b"out = 'a \\b'\r\nx = \"\\u00e9\\n\"\r\n",
    "multi": b'a = """one\ntwo"""\n',
    "array": b"a = [1, 2,\n 3]\nb = []\n",
    "open_array": b"a = [1, 2",
    "open_string": b'a = "b',
    "no_value": b"a =\n= 3\n=\n",
    "header": b"[\n[]\n]\n[a\n",
    "marks": b"++ = 1\n-- = 2\n",
}

if __name__ == "__main__":
    for name, seeds in {"config": CONFIG, "tokenizer": TOKENIZER, "texts": TEXTS, "toml": TOML}.items():
        os.makedirs(os.path.join(sys.argv[1], name), exist_ok=True)
        for seed, content in seeds.items():
            with open(os.path.join(sys.argv[1], name, seed), "wb") as f:
                f.write(content)
