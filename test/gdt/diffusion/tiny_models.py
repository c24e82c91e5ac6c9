# SPDX-License-Identifier: Apache-2.0
"""Stable Diffusion, ControlNet, IP-Adapter, BLIP and BLIP-2 in miniature with random weights, saved as the real ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import safetensors.torch
import tokenizers
import torch
import transformers

WIDTH = 32
"""Of text and image tokens, in place of 768."""
WORDS = ["a", "the", "road", "street", "car", "house", "tree", "wet", "dark", "on", "with", "red", "two", "people", "walking", "driving"]
_BLOCKS: dict[str, Any] = {
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
}


def save_stable_diffusion(folder: Path, seed: int = 0) -> None:
    """Four folders of networks, tokenizer and scheduler, as in stable-diffusion-v1-5."""
    torch.manual_seed(seed)
    unet = diffusers.UNet2DConditionModel(sample_size=8, up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **_BLOCKS)
    # Else what the networks predict is lost in the noise that they start from.
    torch.nn.init.normal_(unet.conv_out.weight, std=0.3)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    )
    text: Any = transformers.CLIPTextConfig
    tokenizer = clip_tokenizer()
    encoder = transformers.CLIPTextModel(
        text(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    # As that of stable-diffusion-v1-5.
    scheduler = diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False
    )
    for name, part in {"unet": unet, "vae": vae, "text_encoder": encoder, "tokenizer": tokenizer, "scheduler": scheduler}.items():
        part.save_pretrained(folder / name)


def save_controlnet(folder: Path, seed: int = 1) -> None:
    """A ControlNet that does something: its zero convolutions, which training would fill, are random."""
    torch.manual_seed(seed)
    controlnet = diffusers.ControlNetModel(conditioning_embedding_out_channels=(8, 16, 16, 16), **_BLOCKS)
    for module in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        torch.nn.init.normal_(module.weight, std=2.0)
    torch.nn.init.normal_(controlnet.controlnet_cond_embedding.conv_out.weight, std=5.0)
    controlnet.save_pretrained(folder)


def save_adapter(folder: Path, unet: Any, seed: int = 2) -> None:
    """models/ip-adapter_sd15.safetensors for this U-Net, and models/image_encoder."""
    torch.manual_seed(seed)
    vision: Any = transformers.CLIPVisionConfig
    encoder = transformers.CLIPVisionModelWithProjection(
        vision(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8, projection_dim=16
        )
    )
    encoder.save_pretrained(folder / "models" / "image_encoder")
    tensors = {
        "image_proj.proj.weight": torch.randn(4 * WIDTH, 16),
        "image_proj.proj.bias": torch.randn(4 * WIDTH),
        "image_proj.norm.weight": torch.ones(WIDTH),
        "image_proj.norm.bias": torch.zeros(WIDTH),
    }
    for number, name in enumerate(unet.attn_processors):
        if "attn2" not in name:
            continue
        width = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        for kind in ("to_k_ip", "to_v_ip"):
            tensors[f"ip_adapter.{number}.{kind}.weight"] = torch.randn(width, WIDTH) * 0.5
    safetensors.torch.save_file(tensors, folder / "models" / "ip-adapter_sd15.safetensors")


def save_blip(folder: Path, seed: int = 3) -> None:
    """As Salesforce/blip-image-captioning-base."""
    torch.manual_seed(seed)
    tokenizer = transformers.BertTokenizer(vocab=_numbered("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", *WORDS))
    tokenizer.add_special_tokens({"additional_special_tokens": ["[DEC]"]})
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "encoder_hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"),
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.5,
    }
    config: Any = transformers.BlipConfig
    network = transformers.BlipForConditionalGeneration(config(text_config=text, vision_config=_vision(), projection_dim=16))
    network.save_pretrained(folder)
    processor: Any = transformers.BlipProcessor
    processor(_image_processor(), tokenizer).save_pretrained(folder)


def save_blip2(folder: Path, seed: int = 4) -> None:
    """As Salesforce/blip2-opt-2.7b."""
    torch.manual_seed(seed)
    queries = 4
    vocabulary = _numbered("<pad>", "</s>", *_alphabet(), "<image>")
    tokenizer = transformers.GPT2Tokenizer(
        vocab=vocabulary, merges=[], unk_token="</s>", bos_token="</s>", eos_token="</s>", pad_token="<pad>"
    )
    processor: Any = transformers.Blip2Processor
    made = processor(_image_processor(), tokenizer, num_query_tokens=queries)
    config: Any = transformers.Blip2Config
    network = transformers.Blip2ForConditionalGeneration(
        config(
            vision_config=_vision(),
            qformer_config={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 30},
            text_config={
                "model_type": "opt",
                "vocab_size": len(vocabulary),
                "hidden_size": 32,
                "word_embed_proj_dim": 32,
                "ffn_dim": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "max_position_embeddings": 64,
                "bos_token_id": 1,
                "eos_token_id": 1,
                "pad_token_id": 0,
                "init_std": 0.5,
            },
            num_query_tokens=queries,
            image_token_index=vocabulary["<image>"],
        )
    )
    network.save_pretrained(folder)
    made.save_pretrained(folder)


def clip_tokenizer() -> Any:
    """CLIP's tokenizer without a single merge: every byte is a token."""
    letters = _alphabet()
    vocabulary = _numbered("<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters))
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def save_all(folder: Path) -> None:
    """sd, controlnet, adapter, blip below a folder."""
    save_stable_diffusion(folder / "sd")
    save_controlnet(folder / "controlnet")
    save_adapter(folder / "adapter", diffusers.UNet2DConditionModel.from_pretrained(folder / "sd" / "unet"))
    save_blip(folder / "blip")


def _vision() -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
        "initializer_range": 0.5,
    }


def _image_processor() -> Any:
    processor: Any = transformers.BlipImageProcessor
    return processor(size={"height": 32, "width": 32})


def _alphabet() -> list[str]:
    return sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())


def _numbered(*names: str) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}
