"""Write open_clip/: a tiny random CLIP as open_clip publishes it, and transformers' answers for it.

usage: make_open_clip_golden.py [OUT_DIR] (default: the folder of this script; run make_tokenizer_golden.py first)

open_clip_config.json and open_clip_model.safetensors: q, k, v in one matrix, projections transposed, positions without
".weight". expected.safetensors: transformers' CLIPModel with the same weights on images that torch has resized,
cropped as torchvision does and normalized; `ids` as open_clip's tokenizer fills them, with 0.
"""

import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

SIDE, LENGTH = 12, 16
MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.5, 1.0]
BLOCK = [("layer_norm", "ln_"), ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"), ("self_attn.", "attn.")]
ENDS = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding": "visual.conv1",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm": "visual.ln_pre",
    "vision_model.post_layernorm": "visual.ln_post",
    "vision_model.encoder.layers": "visual.transformer.resblocks",
    "text_model.encoder.layers": "transformer.resblocks",
}


def to_open_clip(state):
    out = {"text_projection": state["text_projection.weight"].T, "visual.proj": state["visual_projection.weight"].T}
    for key, value in state.items():
        if "projection" in key or "position_ids" in key or ".k_proj" in key or ".v_proj" in key:
            continue
        name = next((theirs + key[len(ours) :] for ours, theirs in ENDS.items() if key.startswith(ours)), key)
        for ours, theirs in BLOCK:
            name = name.replace(ours, theirs)
        if ".q_proj" in key:
            value = torch.cat([state[key.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")])
            name = name.replace("q_proj.", "in_proj_")
        out[name] = value
    return out


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    folder = os.path.join(out, "open_clip")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    tokenizer = CLIPTokenizer.from_pretrained(os.path.join(out, "tokenizer"))
    torch.manual_seed(8)
    text = dict(context_length=LENGTH, vocab_size=tokenizer.vocab_size, width=8, heads=2, layers=2)
    vision = dict(image_size=SIDE, layers=2, width=12, head_width=4, patch_size=4, mlp_ratio=2.0)
    model = CLIPModel(
        CLIPConfig(
            projection_dim=6,
            text_config=dict(
                vocab_size=text["vocab_size"],
                hidden_size=8,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=LENGTH,
                hidden_act="gelu",
                eos_token_id=2,
            ),
            vision_config=dict(
                hidden_size=12,
                intermediate_size=24,
                num_hidden_layers=2,
                num_attention_heads=3,
                image_size=SIDE,
                patch_size=4,
                hidden_act="gelu",
            ),
        )
    ).eval()
    for p in model.parameters():
        p.data.add_(0.1 * torch.randn_like(p))
    weights = {k: v.contiguous().clone() for k, v in to_open_clip(model.state_dict()).items()}
    save_file(weights, os.path.join(folder, "open_clip_model.safetensors"))
    config = dict(
        model_cfg=dict(embed_dim=6, vision_cfg=vision, text_cfg=text),
        preprocess_cfg=dict(mean=MEAN, std=STD, interpolation="bicubic", resize_mode="shortest"),
    )
    with open(os.path.join(folder, "open_clip_config.json"), "w") as f:
        json.dump(config, f, indent=1)
    prompts = ["a cat", "A photo of the red dog on a square, the zebra and 12 more!", ""]
    images = torch.rand(3, 3, 21, 17).requires_grad_()  # 14 rows of which the crop leaves 12: both starts are 1
    resized = torch.nn.functional.interpolate(images, size=(int(SIDE * 21 / 17), SIDE), mode="bicubic", antialias=True)
    top = int(round((resized.shape[2] - SIDE) / 2.0))
    pixels = (resized[:, :, top : top + SIDE] - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    t = tokenizer(prompts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    ids = t.input_ids * t.attention_mask
    answers = model(input_ids=ids, pixel_values=pixels)
    cotangent = torch.randn(3, 6)
    (grad,) = torch.autograd.grad((answers.image_embeds * cotangent).sum(), images)
    with open(os.path.join(folder, "prompts.json"), "w") as f:
        json.dump(prompts, f)
    tensors = dict(
        images=images,
        cotangent=cotangent,
        pixels=pixels,
        ids=ids,
        image_features=answers.image_embeds,
        text_features=answers.text_embeds,
        scale=model.logit_scale.exp(),
        grad=grad,
    )
    save_file(
        {k: v.detach().contiguous().clone() for k, v in tensors.items()}, os.path.join(folder, "expected.safetensors")
    )


if __name__ == "__main__":
    main()
