// The original layout of Stable Diffusion: how CompVis' and Stability's trainers, and web UIs since, name and form the
// weights of a whole model in one file. The tables are read in both directions.
#pragma once
#include <torch/types.h>

#include <map>
#include <string>
#include <vector>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The families of models that are read from one file.
enum class ModelFamily { kSd1, kSd2, kSdxl };

/// "Stable Diffusion 1", "Stable Diffusion 2", "Stable Diffusion XL".
std::string family_name(ModelFamily family);

/// How a weight of ours lies in a file in the original layout.
enum class OriginalForm {
  kSame,    ///< as ours
  kKernel,  ///< a linear layer's weight [O,I] as a 1x1 convolution's [O,I,1,1]
  kQuery,   ///< the first third of the rows of one matrix or bias, which open_clip fuses
  kKey,
  kValue,      ///< the second and the last third
  kTransposed  ///< [P,D] as [D,P]
};

/// The place of a weight in the file, without the beginning that all of its part share.
struct OriginalWeight {
  std::string key;
  OriginalForm form = OriginalForm::kSame;
};

/// Which of the original layout's four name tables a part follows.
enum class OriginalTable { kUnet, kVae, kClip, kOpenClip };

/// A part of a pipeline in such a file.
struct OriginalPart {
  std::string part;    ///< "unet", "vae", "text_encoder", "text_encoder_2"
  std::string prefix;  ///< what the keys of the part begin with
  OriginalTable table = OriginalTable::kUnet;
};

/// The parts of a family's files.
std::vector<OriginalPart> original_parts(ModelFamily family);

/// The places of a network's weights, by our name. `names` are all weights of the network (see state_dict): block
/// numbers depend on how many a level has. CLIP's own table is ours.
/// Errors: a name that the layout does not have.
std::map<std::string, OriginalWeight> original_weights(OriginalTable table, const std::vector<std::string>& names);

/// Our form of a stored tensor, a view of it. A kernel that is a matrix already stays one.
/// Errors: a kernel that is not 1x1, rows that three layers cannot share, a transposed tensor that is no matrix.
Tensor from_original(const Tensor& stored, OriginalForm form);

/// A network's weights as they lie in a file, by key with the part's prefix: the way back.
/// Errors: those of original_weights; one of the three layers of a fused matrix without the others.
std::map<std::string, Tensor> to_original(const OriginalPart& part, const std::map<std::string, Tensor>& weights);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/original_layout.ipp>
#endif
