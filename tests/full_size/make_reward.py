"""Writes a learned reward with random weights in its published configuration, and what Python computes with it.

usage: make_reward.py NAME FOLDER      (needs torch, diffusers, transformers, open_clip_torch; two threads)

NAME is clip_score_l (OpenAI's ViT-L/14), clip_score_h (LAION's ViT-H/14), pickscore, hps_v2.1, aesthetic, image_reward
or objectness (OWL-ViT base/32). FOLDER/model has the published layout, by script/convert_reward where that is a pickle.
FOLDER holds a case of one image of 512 x 512 beside it: case.json, inputs.safetensors, expected.safetensors (score, and
grad.images, its gradient). Printed as JSON: seconds of score and gradient, the second of two, and the process's peak.
Answers come from transformers (of BLIP, its parts and five linear layers), behind torch's antialiased bicubic
interpolate. HPS is its CLIPModel too, written with open_clip's names.
"""
import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from make_model import tokenizer as clip_tokenizer
from safetensors.torch import save_file

sys.path.append(str(Path(__file__).parents[1] / "golden"))
from make_open_clip_golden import to_open_clip  # noqa: E402
from make_reward_model_golden import published_name  # noqa: E402

PROMPT = "a photo of a red cat on a square, with two zebras"
CONVERT = Path(__file__).parents[2] / "script" / "convert_reward"
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
CLIPS = {
    "l14": dict(text=(768, 3072, 12, 12), vision=(1024, 4096, 24, 16), act="quick_gelu", joint=768),
    "h14": dict(text=(1024, 4096, 24, 16), vision=(1280, 5120, 32, 16), act="gelu", joint=1024),
}
HEAD = [1024, 128, 64, 16, 1]


def lively(model):
    """Matrices and tables so large, and vectors so far from 0 and 1, that each counts: the library's own initialization
    leaves gradients of 1e-10."""
    for name, p in model.named_parameters():
        table = "embedding" in name and "patch" not in name
        if table or p.ndim >= 2:
            p.data.normal_(std=0.5 if table else 0.8 / p[0].numel() ** 0.5)
        elif p.ndim == 1:
            p.data.add_(torch.randn_like(p), alpha=0.2 if name.endswith("weight") else 0.1)
    return model.eval().requires_grad_(False)


def sizes(numbers, act):
    width, hidden, layers, heads = numbers
    return dict(hidden_size=width, intermediate_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                hidden_act=act)


def pixels_of(images, side):
    """A square image at the model's side, normalized."""
    return (F.interpolate(images, size=(side, side), mode="bicubic", antialias=True) - MEAN) / STD


def clip_ids(out, length=77, padding="<|endoftext|>"):
    """The prompt's tokens by CLIP's vocabulary, which is written to the model's folder."""
    clip_tokenizer(out / "tokenizer", padding)
    tokens = transformers.CLIPTokenizer.from_pretrained(out / "tokenizer")
    return tokens([PROMPT], padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids


def convert(name, file, out, *arguments):
    subprocess.run([sys.executable, CONVERT, name, file, out, *arguments], check=True, stdout=subprocess.DEVNULL)
    file.unlink()


def head(width):
    widths = [width, *HEAD]
    return {n: lively(torch.nn.Linear(i, o)) for n, i, o in zip("02467", widths, widths[1:])}


def head_weights(layers, prefix):
    return {f"{prefix}.{n}.{k}": w for n, layer in layers.items() for k, w in layer.state_dict().items()}


def affine(layers, x):
    for layer in layers.values():
        x = layer(x)
    return x[:, 0]


def clip(kind, out, eos=49407):
    c = CLIPS[kind]
    text = dict(sizes(c["text"], c["act"]), projection_dim=c["joint"], eos_token_id=eos)
    vision = dict(sizes(c["vision"], c["act"]), patch_size=14, image_size=224, projection_dim=c["joint"])
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=c["joint"])
    model = lively(transformers.CLIPModel(config))
    ids = clip_ids(out)
    tensor = lambda x: x if isinstance(x, torch.Tensor) else x.pooler_output
    image_vector = lambda x: F.normalize(tensor(model.get_image_features(pixel_values=pixels_of(x, 224))), dim=-1)
    text_vector = lambda: F.normalize(tensor(model.get_text_features(input_ids=ids)), dim=-1)
    return model, image_vector, text_vector


def clip_score_l(out):
    model, image, text = clip("l14", out)
    model.save_pretrained(out)
    return lambda x: (image(x) * text()).sum(-1)


def clip_score_h(out):
    model, image, text = clip("h14", out)
    model.save_pretrained(out)
    return lambda x: (image(x) * text()).sum(-1)


def pickscore(out):
    model, image, text = clip("h14", out, eos=2)
    model.save_pretrained(out)
    return lambda x: model.logit_scale.exp() * (image(x) * text()).sum(-1)


def aesthetic(out):
    model, image, _ = clip("l14", out)
    model.save_pretrained(out)
    layers = head(768)
    torch.save(head_weights(layers, "layers"), out / "head.pth")
    convert("aesthetic", out / "head.pth", out)
    return lambda x: affine(layers, image(x))


def hps(out):
    model, image, text = clip("h14", out)
    torch.save({"state_dict": to_open_clip(model.state_dict())}, out / "HPS_v2.1.pt")
    convert("hps_v2.1", out / "HPS_v2.1.pt", out)
    return lambda x: (image(x) * text()).sum(-1)


def bert_vocabulary(folder):
    """As many tokens as bert-base-uncased has, the prompt's words among them."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", *dict.fromkeys(PROMPT.replace(",", "").split())]
    words += [f"word{i}" for i in range(30522 - len(words))]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
    return tokenizer


def image_reward(out):
    tokenizer = bert_vocabulary(out / "bert")
    vision = transformers.BlipVisionModel(
        transformers.BlipVisionConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, image_size=224,
                                      num_attention_heads=16, patch_size=16, layer_norm_eps=1e-6))
    bert = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
                layer_norm_eps=1e-12, max_position_embeddings=512, vocab_size=30524)
    text = transformers.BlipTextModel(
        transformers.BlipTextConfig(encoder_hidden_size=1024, is_decoder=True, **bert), add_pooling_layer=False)
    layers = head(768)
    lively(vision), lively(text)
    weights = head_weights(layers, "mlp.layers")
    weights.update({published_name(k): w for k, w in vision.state_dict().items()})
    weights.update({"blip.text_encoder." + k: w for k, w in text.state_dict().items()})
    torch.save(weights, out / "ImageReward.pt")
    published = dict(bert, architectures=["BertModel"], hidden_act="gelu", model_type="bert", type_vocab_size=2,
                     pad_token_id=0, encoder_width=768, add_cross_attention=True, initializer_range=0.02,
                     attention_probs_dropout_prob=0.1, hidden_dropout_prob=0.1)
    (out / "med_config.json").write_text(json.dumps(published))
    convert("image_reward", out / "ImageReward.pt", out, "--tokenizer", out / "bert")
    rows = tokenizer([PROMPT], padding="max_length", truncation=True, max_length=35, return_tensors="pt")

    def score(x):
        image = vision(pixels_of(x, 224)).last_hidden_state
        state = text(input_ids=rows.input_ids, attention_mask=rows.attention_mask, encoder_hidden_states=image,
                     encoder_attention_mask=torch.ones(image.shape[:2], dtype=torch.long), is_decoder=False)
        return (affine(layers, state.last_hidden_state[:, 0]) - 0.16717362830052426) / 1.0333394966054072

    return score


def objectness(out):
    config = transformers.OwlViTConfig(  # base/32 is the default configuration
        text_config=dict(max_position_embeddings=16), vision_config=dict(image_size=768, patch_size=32))
    model = lively(transformers.OwlViTForObjectDetection(config))
    model.save_pretrained(out)
    ids = clip_ids(out, 16, "!")

    def score(x):
        text, seen, _ = model.image_text_embedder(ids, pixels_of(x, 768), None)
        logits, _ = model.class_head(seen.flatten(1, 2), text[None], None)
        return logits[:, :, 0].amax(1).sigmoid()

    return score


REWARDS = {"clip_score_l": clip_score_l, "clip_score_h": clip_score_h, "pickscore": pickscore, "hps_v2.1": hps,
           "aesthetic": aesthetic, "image_reward": image_reward, "objectness": objectness}


def main(name, folder):
    torch.manual_seed(0)
    torch.set_num_threads(2)
    (folder / "model").mkdir(parents=True)
    score = REWARDS[name](folder / "model")
    y, x = torch.meshgrid(torch.linspace(0, 1, 512), torch.linspace(0, 1, 512), indexing="ij")
    waves = [0.5 + 0.4 * torch.cos(2 * math.pi * (a * x + b * y)) for a, b in ((1, 2), (-3, 1), (5, 4))]
    images = (torch.stack(waves)[None] + 0.05 * torch.randn(1, 3, 512, 512)).clamp(0, 1).requires_grad_()
    for _ in range(2):  # the first also prepares kernels
        begin = time.perf_counter()
        values = score(images)
        (gradient,) = torch.autograd.grad(values.sum(), images)
        seconds = time.perf_counter() - begin
    save_file({"images": images.detach().contiguous()}, folder / "inputs.safetensors")
    save_file({"score": values.detach(), "grad.images": gradient.contiguous()}, folder / "expected.safetensors")
    (folder / "case.json").write_text(json.dumps({"reward": name, "prompts": [PROMPT]}))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak}))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in REWARDS:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]))
