"""Write scores.json: what transformers scores the PNG files of image_files/ with the tiny models of this folder.

usage: make_score_golden.py [OUT_DIR] (default: the folder of this script; run make_clip_golden.py,
make_reward_model_golden.py and make_image_file_golden.py first)

clip_score is CLIPModel's cosine, objectness the largest probability of OwlViTForObjectDetection, image_reward BLIP's
parts and five linear layers. Files are read by Pillow and go through torch's antialiased bicubic interpolate.
"""

import json
import os
import sys

import torch
import torch.nn.functional as F
import transformers
from make_reward_model_golden import MEAN, STD, published_name, resized
from PIL import Image
from safetensors.torch import load_file

FILES = ["photo.png", "color.png", "palette.png", "transparent.png"]
PROMPTS = ["a red cat", "A photo of the DOG on a square, with a zebra!", "", "a zebra"]


def read(path):
    image = Image.open(path).convert("RGB")
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(image.height, image.width, 3)
    return (pixels.permute(2, 0, 1)[None] / 255.0).double()  # [1,3,H,W]


def cropped(image, side, start):
    """Shorter edge to `side`, then the center, which begins where `start` rounds to."""
    h, w = image.shape[-2:]
    h, w = (int(side * h / w), side) if w <= h else (side, int(side * w / h))
    top, left = start((h - side) / 2), start((w - side) / 2)
    return (resized(image, (h, w))[..., top : top + side, left : left + side] - MEAN) / STD


def vector(output):
    return F.normalize(output if isinstance(output, torch.Tensor) else output.pooler_output, dim=-1)


def clip_score(folder):
    model = transformers.CLIPModel.from_pretrained(folder).double().eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(os.path.join(folder, "tokenizer"))

    def score(image, prompt):
        ids = tokenizer([prompt], padding="max_length", truncation=True, max_length=16, return_tensors="pt").input_ids
        seen = vector(model.get_image_features(pixel_values=cropped(image, 12, int)))
        return (seen * vector(model.get_text_features(input_ids=ids))).sum()

    return score


def objectness(folder, tokenizer):
    model = transformers.OwlViTForObjectDetection.from_pretrained(folder).double().eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(tokenizer, pad_token="!")

    def score(image, prompt):
        ids = tokenizer([prompt], padding="max_length", truncation=True, max_length=16, return_tensors="pt").input_ids
        text, seen, _ = model.image_text_embedder(ids, (resized(image, (12, 12)) - MEAN) / STD, None)
        return model.class_head(seen.flatten(1, 2), text[None], None)[0].amax().sigmoid()

    return score


def image_reward(folder, tokenizer):
    tokenizer = transformers.BertTokenizer.from_pretrained(tokenizer)
    tokenizer.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    vit, bert = config["vit"], config["med_config"]
    vision = transformers.BlipVisionModel(
        transformers.BlipVisionConfig(
            hidden_size=vit["width"],
            intermediate_size=4 * vit["width"],
            num_hidden_layers=vit["depth"],
            num_attention_heads=vit["heads"],
            image_size=vit["image_size"],
            patch_size=vit["patch_size"],
            layer_norm_eps=1e-6,
        )
    )
    sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    sizes = {key: bert[key] for key in (*sizes, "layer_norm_eps", "max_position_embeddings")}
    text = transformers.BlipTextModel(
        transformers.BlipTextConfig(encoder_hidden_size=vit["width"], bos_token_id=1, is_decoder=True, **sizes),
        add_pooling_layer=False,
    )
    weights = load_file(os.path.join(folder, "model.safetensors"))
    part = lambda prefix: {k.removeprefix(prefix): w for k, w in weights.items() if k.startswith(prefix)}
    vision.load_state_dict({k: weights[published_name(k)] for k in vision.state_dict()})
    text.load_state_dict({k: w for k, w in part("blip.text_encoder.").items() if not k.endswith("position_ids")})
    vision.double().eval(), text.double().eval()
    head = [(weights[f"mlp.layers.{n}.weight"].double(), weights[f"mlp.layers.{n}.bias"].double()) for n in "02467"]

    def score(image, prompt):
        rows = tokenizer([prompt], padding="max_length", truncation=True, max_length=35, return_tensors="pt")
        seen = vision(cropped(image, vit["image_size"], lambda x: int(round(x)))).last_hidden_state
        state = text(
            input_ids=rows.input_ids,
            attention_mask=rows.attention_mask,
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long),
            is_decoder=False,
        ).last_hidden_state[:, 0]
        for weight, bias in head:
            state = F.linear(state, weight, bias)
        return (state[0, 0] - 0.16717362830052426) / 1.0333394966054072

    return score


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    inside = lambda *names: os.path.join(out, *names)
    scorers = dict(
        clip_score=clip_score(inside("clip")),
        image_reward=image_reward(inside("blip"), inside("word_piece")),
        objectness=objectness(inside("owl_vit"), inside("tokenizer")),
    )
    images = [read(inside("image_files", name)) for name in FILES]
    with torch.no_grad():
        scores = {k: [f(i, p).item() for i, p in zip(images, PROMPTS)] for k, f in scorers.items()}
    with open(inside("scores.json"), "w") as f:
        json.dump(dict(files=FILES, prompts=PROMPTS, scores=scores), f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
