// Draws held-out prompts with the weights that the cells saved.
#include "sample_grids.hpp"

#include <algorithm>

#include <reward_tuner/backend/lora.hpp>
#include <reward_tuner/io/image_grid.hpp>
#include <reward_tuner/io/png.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/tuner/evaluation.hpp>
#include <reward_tuner/tuner/prompt_set.hpp>

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

/// [P,3,H,W] of the model, with the adapter of `lora` if that is not empty.
rt::Tensor draw(const Study& study, const std::filesystem::path& lora, const std::vector<rt::EvaluationPair>& pairs) {
  auto pipeline = rt::StableDiffusion::load(study.model);
  std::optional<rt::Lora> adapter;
  if (!lora.empty()) adapter.emplace(rt::Lora::load(pipeline.unet(), lora));
  const rt::Ddim sampler({.num_steps = 20, .guidance = Settings::kGuidance});
  return rt::evaluate(pipeline, sampler, pairs, {}, {.batch = static_cast<int>(pairs.size())})->images;
}

}  // namespace

bool write_sample_grid(const Study& study, const TableReward& reward, const std::filesystem::path& file) {
  auto pairs = rt::evaluation_pairs(rt::PromptSet::from_file(study.held_out).prompts(), 1, Settings::kFirstHeldOutSeed);
  pairs.resize(std::min<std::size_t>(pairs.size(), Settings::kPictures));
  rt::GridOptions options;
  std::vector<rt::Tensor> rows;
  for (const auto& m : table_methods()) {
    const auto folder = study.out / table_cell(reward.name, m.label, 0);
    if (!std::filesystem::exists(folder / "report.json")) continue;
    rows.push_back(draw(study, folder / "lora", pairs));
    options.row_labels.push_back(m.title);
  }
  if (rows.empty()) return false;
  rows.insert(rows.begin(), draw(study, {}, pairs));
  options.row_labels.insert(options.row_labels.begin(), "untuned");
  for (const auto& pair : pairs) options.column_labels.push_back(pair.prompt);
  rt::write_png(file, rt::image_grid(rows, options));
  return true;
}

}  // namespace rt_reproduce
