// CLIP models as open_clip publishes them: its configuration, and its names and forms of the weights. HPS v2 and
// LAION's models come so.
#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/files/weights_source.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>

namespace reward_tuner {

struct ClipConfig;
class ClipModel;

/// What open_clip calls the files of a model's folder.
inline constexpr const char* kOpenClipConfig = "open_clip_config.json";
inline constexpr WeightsNames kOpenClipWeights{"open_clip_model", false};

/// Whether a configuration is open_clip's: a file of its model_configs, which has "embed_dim", or an
/// open_clip_config.json, which has such a file as "model_cfg".
bool is_open_clip_config(const nlohmann::json& json);

/// The settings of both towers. Text is pooled at its largest id, activations are gelu unless "quick_gelu".
/// Errors: keys that are not known, and whatever makes it another model than CLIP's (timm towers, Hugging Face's text
/// encoders, attentional pooling, SigLIP, ...), each with its name.
ClipConfig open_clip_config(const nlohmann::json& json, const std::string& where);

/// The image processing: "preprocess_cfg" of an open_clip_config.json, else open_clip's defaults, OpenAI's CLIP by
/// torchvision.
/// Errors: resampling other than bicubic, paddings that are not black, a size that is not the model's.
ImagePreprocessorOptions open_clip_preprocessing(const nlohmann::json& json, const ClipConfig& config,
                                                 const std::string& where);

/// The weights in a file of open_clip's by the names of ClipModel (`model`); a constant mask is left out, and what the
/// file has besides stays under its own name, which load_weights refuses.
WeightsSource open_clip_weights(const SafetensorsFile& file, const ClipModel& model);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/open_clip_layout.ipp>
#endif
