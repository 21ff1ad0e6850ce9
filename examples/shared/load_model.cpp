#include "load_model.hpp"

#include <utility>

#include <reward_tuner/core/note.hpp>
#include <reward_tuner/models/pipeline_lora.hpp>

namespace rt_shared {

LoadedModel load_model(const TuneSettings& s) {
  rt::StableDiffusionOptions options{.device = s.device,
                                     .dtype = s.dtype,
                                     .variant = s.variant,
                                     .tokenizer = s.tokenizer,
                                     .prediction = s.prediction,
                                     .negative_prompt = s.negative,
                                     .height = s.height,
                                     .width = s.width,
                                     .vae_tiling = s.vae_tiling,
                                     .offload = s.offload};
  if (s.original_size) options.original_size = {(*s.original_size)[0], (*s.original_size)[1]};
  if (s.crop) options.crop = {(*s.crop)[0], (*s.crop)[1]};
  if (s.target_size) options.target_size = {(*s.target_size)[0], (*s.target_size)[1]};
  LoadedModel loaded{rt::StableDiffusion::load(s.model, options), {}};
  std::vector<rt::LoraSource> sources;
  for (const std::string& word : s.loras) sources.push_back(rt::lora_source(word));
  for (const rt::LoraSource& source : sources)
    if (source.scale == 0) rt::note("--lora ", source.path.string(), " has the strength 0 and changes nothing");
  loaded.loras = rt::load_loras(loaded.pipeline, sources);
  CutPrompts cut(loaded.pipeline);
  if (s.negative) cut.add(*s.negative);
  cut.note_each();
  return loaded;
}

void CutPrompts::add(const std::string& prompt) {
  ++seen_;
  std::string lost = pipeline_.lost_text(prompt);
  if (lost.empty()) return;
  ++cut_;
  if (lost_.size() < kShown) lost_.push_back(std::move(lost));
}

void CutPrompts::note_each() const {
  for (const std::string& lost : lost_)
    rt::note("a prompt is longer than the text encoder takes, which does not read its end: '", lost, "'");
  if (cut_ > kShown) rt::note("nor the ends of ", cut_ - kShown, " more prompts");
}

void CutPrompts::note_number(const std::string& where) const {
  if (cut_ > 0)
    rt::note(cut_, " of ", seen_, " ", where,
             " are longer than the text encoder takes, which does not read their ends, of the first '", lost_.front(),
             "'");
}

}  // namespace rt_shared
