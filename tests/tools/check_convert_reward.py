"""Converts small files of the published forms by script/convert_reward and reads what it wrote.

usage: python tests/tools/check_convert_reward.py (torch and safetensors of script/convert_reward_requirements.txt)
Exit code 1 if something is wrong, 3 (ctest: skipped) without the two libraries.
"""

import json
import pathlib
import pickle
import re
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(3)

SCRIPT = pathlib.Path(__file__).parents[2] / "script" / "convert_reward"


def run(*arguments, fails=None):
    done = subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)
    if fails is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1 and fails in done.stderr and "Traceback" not in done.stderr, done.stderr


def open_clip_weights(width=128, text_width=64, joint=48):
    """Of an open_clip model with two vision layers and one of text; patches of 4 in images of 12."""
    block = lambda w, hidden: {
        "attn.in_proj_weight": torch.randn(3 * w, w),
        "attn.in_proj_bias": torch.randn(3 * w),
        "attn.out_proj.weight": torch.randn(w, w),
        "mlp.c_fc.weight": torch.randn(hidden, w),
        "mlp.c_proj.weight": torch.randn(w, hidden),
        "ln_1.weight": torch.randn(w),
    }
    state = {
        "visual.conv1.weight": torch.randn(width, 3, 4, 4),
        "visual.class_embedding": torch.randn(width),
        "visual.positional_embedding": torch.randn(10, width),
        "visual.proj": torch.randn(width, joint),
        "positional_embedding": torch.randn(16, text_width),
        "token_embedding.weight": torch.randn(100, text_width),
        "text_projection": torch.randn(text_width, joint),
        "logit_scale": torch.tensor(4.6),
    }
    for k in range(2):
        state.update({f"visual.transformer.resblocks.{k}.{n}": v for n, v in block(width, 3 * width).items()})
    state.update({f"transformer.resblocks.0.{n}": v for n, v in block(text_width, 4 * text_width).items()})
    return state


class Evil:
    """What a pickle can do when it is read carelessly."""

    def __reduce__(self):
        return print, ("executed",)


def main():
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        same = lambda a, b: set(a) == set(b) and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)

        # HPS: a training program's dictionary, names of a parallel module, half precision, a constant mask
        clip = {k: v.half() for k, v in open_clip_weights().items()}
        wrapped = {"module." + k: v for k, v in clip.items()} | {"module.attn_mask": torch.zeros(16, 16)}
        torch.save({"epoch": 1, "name": "HPS", "state_dict": wrapped}, root / "hps.pt")
        run("hps_v2.1", root / "hps.pt", root / "hps")
        assert same(load_file(root / "hps" / "model.safetensors"), clip)
        config = json.loads((root / "hps" / "config.json").read_text())
        vision = dict(image_size=12, layers=2, width=128, head_width=64, mlp_ratio=3.0, patch_size=4)
        text = dict(context_length=16, vocab_size=100, width=64, heads=1, layers=1)
        assert config["model_cfg"] == dict(embed_dim=48, vision_cfg=vision, text_cfg=text), config
        assert config["preprocess_cfg"]["resize_mode"] == "longest"

        # PickScore: transformers' names with its configuration beside, tokenizer files from elsewhere
        published, tokenizer = root / "pick", root / "laion"
        published.mkdir(), tokenizer.mkdir()
        weights = {n: torch.randn(3, 3) for n in ("text_projection.weight", "visual_projection.weight", "other.weight")}
        weights["logit_scale"] = torch.tensor(4.6)
        stored = weights | {"text_model.embeddings.position_ids": torch.arange(4)[None]}
        torch.save(stored, published / "pytorch_model.bin")
        run("pickscore", published / "pytorch_model.bin", root / "out", fails="give --config FILE")
        (published / "config.json").write_text('{"model_type": "clip"}')
        (tokenizer / "vocab.json").write_text("{}")
        run("pickscore", published / "pytorch_model.bin", root / "out", "--tokenizer", tokenizer)
        assert same(load_file(root / "out" / "model.safetensors"), weights)
        assert {p.name for p in (root / "out").iterdir()} == {"config.json", "model.safetensors", "vocab.json"}

        # a CLIP of open_clip's that is safetensors already
        save_file(clip, published / "open_clip_model.safetensors")
        (published / "open_clip_config.json").write_text('{"model_cfg": {}}')
        run("clip_score", published / "open_clip_model.safetensors", root / "own")
        assert (root / "own" / "config.json").read_text() == '{"model_cfg": {}}'
        assert same(load_file(root / "own" / "model.safetensors"), clip)

        # the aesthetic head, next to a CLIP that is there already
        head = {f"layers.{k}.{n}": torch.randn(2, 2) for k in (0, 2, 4, 6, 7) for n in ("weight", "bias")}
        torch.save(head, root / "head.pth")
        run("aesthetic", root / "head.pth", root / "own")
        assert same(load_file(root / "own" / "head.safetensors"), head)
        assert (root / "own" / "model.safetensors").exists()

        # ImageReward: flat, its text configuration beside it, BERT's vocabulary from elsewhere
        blip = {
            "blip.visual_encoder.pos_embed": torch.randn(1, 17, 128),
            "blip.visual_encoder.patch_embed.proj.weight": torch.randn(128, 3, 8, 8),
            "blip.visual_encoder.blocks.1.norm1.weight": torch.randn(128),
            "blip.text_encoder.embeddings.LayerNorm.weight": torch.randn(4),
            "mlp.layers.0.weight": torch.randn(3, 4),
            "mlp.layers.10.weight": torch.randn(1, 2),
            "mlp.layers.2.weight": torch.randn(2, 3),
        }
        home, bert = root / "reward", root / "bert"
        home.mkdir(), bert.mkdir()
        torch.save(blip | {"blip.text_encoder.embeddings.position_ids": torch.arange(4)[None]}, home / "ImageReward.pt")
        run("image_reward", home / "ImageReward.pt", root / "image", fails="med_config.json', got nothing")
        (home / "med_config.json").write_text('{"hidden_size": 4}')
        (bert / "vocab.txt").write_text("[UNK]\n")
        run("image_reward", home / "ImageReward.pt", root / "image", "--tokenizer", bert)
        assert same(load_file(root / "image" / "model.safetensors"), blip)
        vit = dict(image_size=32, patch_size=8, width=128, depth=2, heads=2)
        config = json.loads((root / "image" / "config.json").read_text())
        assert config == dict(med_config=dict(hidden_size=4), vit=vit, head=[3, 2, 1]), config
        assert (root / "image" / "vocab.txt").exists()

        # OWL-ViT
        owl = {"class_head.dense0.weight", "owlvit.text_projection.weight", "layer_norm.weight", "box_head.dense0.bias"}
        owl = {name: torch.randn(2, 2) for name in owl}
        torch.save(owl, home / "pytorch_model.bin")
        run("objectness", home / "pytorch_model.bin", root / "owl", fails="give --config FILE")
        run("objectness", home / "pytorch_model.bin", root / "owl", "--config", home / "med_config.json")
        assert same(load_file(root / "owl" / "model.safetensors"), owl)
        assert (root / "owl" / "config.json").read_text() == '{"hidden_size": 4}'

        # the names are those of rt-tune's rewards
        listed = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
        table = (SCRIPT.parents[1] / "examples" / "shared" / "rewards.cpp").read_text()
        names = re.findall(r"^  ([\w.]+): ", listed, re.MULTILINE)
        assert len(names) >= 8 and all(f'{{{{"{name}",' in table for name in names), names

        # what does not fit, and what must not run
        run("image_reward", home / "pytorch_model.bin", root / "no", fails="expected a tensor blip.visual_encoder.pos")
        run("objectness", home / "ImageReward.pt", root / "no", fails="expected a tensor class_head.dense0.weight")
        run("hps_v2", root / "head.pth", root / "no", fails="expected a tensor visual.conv1.weight, got layers.0.bias")
        run("aesthetic", root / "hps.pt", root / "no", fails="expected layers.<number>.weight and .bias")
        run("hps_v2", root / "nowhere.pt", root / "no", fails="got nothing at")
        run("hps_v2", root / "hps.pt", root / "no", "--tokenizer", root, fails="got none")
        (root / "evil.pt").write_bytes(pickle.dumps({"state_dict": Evil()}))
        run("hps_v2", root / "evil.pt", root / "no", fails="cannot be read without running code")
    print("convert_reward: 6 kinds of files, 10 errors")


if __name__ == "__main__":
    main()
