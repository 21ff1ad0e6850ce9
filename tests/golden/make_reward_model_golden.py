"""Write blip/ and owl_vit/: tiny random models of rewards and transformers' answers for them (expected.safetensors).

usage: make_reward_model_golden.py [OUT_DIR] (default: the folder of this script; run make_tokenizer_golden.py and
make_word_piece_golden.py first)

blip/ has the names of ImageReward's published file; its answers come from transformers' BlipVisionModel and
BlipTextModel with the same weights and five linear layers. owl_vit/ is an OwlViTForObjectDetection as transformers
saves it. Images go through torch's antialiased bicubic interpolate. "grad" is the gradient of the sum of "score".
Weights are float32, answers are computed in float64.
"""

import json
import os
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import BertTokenizer, CLIPTokenizer

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073], dtype=torch.float64).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711], dtype=torch.float64).view(3, 1, 1)
PROMPTS = ["a red cat", "A photo of the DOG on a square, with a zebra!", ""]


def lively(model):
    """Matrices and tables so large, and vectors so far from 0 and 1, that a forgotten one is noticed."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            table = "embedding" in name and "patch" not in name
            if table or p.ndim >= 2:
                p.normal_(std=0.5 if table else 0.8 / p[0].numel() ** 0.5)
            else:
                p.add_(0.2 * torch.randn_like(p))
    return model.double().eval().requires_grad_(False)


BLIP_NAMES = (  # transformers' and the published ones, which are timm's
    ("embeddings.class_embedding", "cls_token"),
    ("embeddings.position_embedding", "pos_embed"),
    ("embeddings.patch_embedding", "patch_embed.proj"),
    ("encoder.layers", "blocks"),
    ("self_attn.projection", "attn.proj"),
    ("self_attn.qkv", "attn.qkv"),
    ("layer_norm1", "norm1"),
    ("layer_norm2", "norm2"),
    ("post_layernorm", "norm"),
)


def published_name(name):
    """The published name of a weight of BlipVisionModel."""
    for theirs, published in BLIP_NAMES:
        name = name.replace(theirs, published)
    return "blip.visual_encoder." + name


def resized(images, size):
    return torch.nn.functional.interpolate(images, size=size, mode="bicubic", antialias=True)


def write(folder, weights, config, inputs, answers):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    plain = lambda d: {
        k: (v.float() if v.is_floating_point() else v).detach().contiguous().clone() for k, v in d.items()
    }
    save_file(plain(weights), os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    save_file(plain(dict(inputs, **answers)), os.path.join(folder, "expected.safetensors"))
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f, indent=1)


def blip(out):
    tokenizer = BertTokenizer.from_pretrained(os.path.join(out, "word_piece"))
    tokenizer.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
    side, patch, width, text_width = 16, 4, 12, 8
    vision = lively(
        transformers.BlipVisionModel(
            transformers.BlipVisionConfig(
                hidden_size=width,
                intermediate_size=4 * width,
                num_hidden_layers=2,
                num_attention_heads=3,
                image_size=side,
                patch_size=patch,
                layer_norm_eps=1e-6,
            )
        )
    )
    text = lively(
        transformers.BlipTextModel(
            transformers.BlipTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=text_width,
                encoder_hidden_size=width,
                intermediate_size=2 * text_width,
                num_hidden_layers=2,
                num_attention_heads=2,
                layer_norm_eps=1e-12,
                max_position_embeddings=40,
                bos_token_id=1,
                is_decoder=True,
            ),
            add_pooling_layer=False,
        )
    )
    sizes = [text_width, 7, 6, 5, 4, 1]
    head = {n: lively(torch.nn.Linear(i, o)) for n, i, o in zip("02467", sizes, sizes[1:])}
    weights = {published_name(k): w for k, w in vision.state_dict().items()}
    weights.update({"blip.text_encoder." + k: w for k, w in text.state_dict().items()})
    weights["blip.text_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    for n, layer in head.items():
        weights.update({f"mlp.layers.{n}.{k}": w for k, w in layer.state_dict().items()})
    weights.update({"blip.vision_proj.weight": torch.randn(3, width), "blip.text_proj.weight": torch.randn(3, 8)})
    config = dict(
        med_config=dict(
            architectures=["BertModel"],
            attention_probs_dropout_prob=0.1,
            hidden_act="gelu",
            hidden_dropout_prob=0.1,
            hidden_size=text_width,
            initializer_range=0.02,
            intermediate_size=2 * text_width,
            layer_norm_eps=1e-12,
            max_position_embeddings=40,
            model_type="bert",
            num_attention_heads=2,
            num_hidden_layers=2,
            pad_token_id=0,
            type_vocab_size=2,
            vocab_size=len(tokenizer),
            encoder_width=text_width,  # not that of the image encoder, as in the published file
            add_cross_attention=True,
        ),
        vit=dict(image_size=side, patch_size=patch, width=width, depth=2, heads=3),
        head=sizes[1:],
    )
    images = torch.rand(3, 3, 23, 20).requires_grad_()
    x = resized(images.double(), (int(side * 23 / 20), side))
    top = int(round((x.shape[2] - side) / 2.0))  # torchvision's CenterCrop
    pixels = (x[:, :, top : top + side] - MEAN) / STD
    rows = tokenizer(PROMPTS, padding="max_length", truncation=True, max_length=35, return_tensors="pt")
    image = vision(pixels).last_hidden_state
    state = text(
        input_ids=rows.input_ids,
        attention_mask=rows.attention_mask,
        encoder_hidden_states=image,
        encoder_attention_mask=torch.ones(image.shape[:2], dtype=torch.long),
        is_decoder=False,
    ).last_hidden_state[:, 0]
    score = state
    for layer in head.values():
        score = layer(score)
    score = (score[:, 0] - 0.16717362830052426) / 1.0333394966054072
    (grad,) = torch.autograd.grad(score.sum(), images)
    answers = dict(pixels=pixels, state=state, score=score, grad=grad)
    write(os.path.join(out, "blip"), weights, config, dict(images=images), answers)


def owl_vit(out):
    tokenizer = CLIPTokenizer.from_pretrained(os.path.join(out, "tokenizer"), pad_token="!")
    side = 12
    config = transformers.OwlViTConfig(
        text_config=dict(
            vocab_size=len(tokenizer),
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
        ),
        vision_config=dict(
            hidden_size=12,
            intermediate_size=20,
            num_hidden_layers=2,
            num_attention_heads=3,
            image_size=side,
            patch_size=4,
        ),
        projection_dim=8,
    )
    model = lively(transformers.OwlViTForObjectDetection(config))
    images = torch.rand(3, 3, 17, 14).requires_grad_()
    pixels = (resized(images.double(), (side, side)) - MEAN) / STD
    ids = tokenizer(PROMPTS, padding="max_length", truncation=True, max_length=16, return_tensors="pt").input_ids
    text, seen, _ = model.image_text_embedder(ids, pixels, None)
    seen = seen.flatten(1, 2)
    logits, _ = model.class_head(seen, text[None].expand(3, -1, -1), None)  # every image is asked for every prompt
    score = logits.diagonal(dim1=0, dim2=2).amax(0).sigmoid()
    (grad,) = torch.autograd.grad(score.sum(), images)
    folder = os.path.join(out, "owl_vit")
    answers = dict(pixels=pixels, patches=seen, logits=logits, score=score, grad=grad)
    config = dict(config.to_dict(), architectures=["OwlViTForObjectDetection"])
    write(folder, model.state_dict(), config, dict(images=images), answers)
    with open(os.path.join(folder, "preprocessor_config.json"), "w") as f:  # as published: the size is a list
        settings = dict(do_resize=True, do_center_crop=False, crop_size=side, do_normalize=True, resample=3)
        mean, std = MEAN.flatten().tolist(), STD.flatten().tolist()
        kind = "OwlViTFeatureExtractor"
        json.dump(dict(settings, size=[side, side], image_mean=mean, image_std=std, feature_extractor_type=kind), f)


if __name__ == "__main__":
    torch.manual_seed(15)
    target = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    blip(target)
    owl_vit(target)
