// Writes a model with changed weights, as a diffusers folder or as one file in the original layout, whichever it was.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include <reward_tuner/models/model_files.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The weights of whole networks by part and name, in place of the model's own.
using PartWeights = std::map<std::string, std::map<std::string, Tensor>>;

/// Writes a folder that diffusers loads as it is. Of a folder: every part that model_index.json names and our clip/,
/// weights under their plain names (see copy_part). Of a single file: the networks, the configurations and the
/// tokenizers; parts beside these that config/ names are none of the file's: they are noted and left out of the index.
/// May be the model's own folder: then only `changed` is written.
/// Errors: a folder that cannot be written; those of ModelFiles::tensors.
void write_model_folder(const std::filesystem::path& folder, const ModelFiles& model, const PartWeights& changed = {});

/// Writes one file in the original layout, with the model's dtypes. Of a single file: its tensors and header, but
/// model_ema.*, the averages of other weights, which are noted. Of a folder: UNet, VAE and text encoders, and what the
/// network predicts (modelspec.prediction_type; v_pred and ztsnr for SDXL). A configuration that is not known (see
/// known_configurations.hpp) is written to config/ beside the file, from where SingleFile reads it.
/// Errors: the model's own file; config/ that is needed and already there; parts that the layout does not have.
void write_model_file(const std::filesystem::path& file, const ModelFiles& model, const PartWeights& changed = {});

/// The errors of write_model_file that need no weights; makes the file's folder.
void check_model_file(const std::filesystem::path& file, const ModelFiles& model);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/model_writer.ipp>
#endif
