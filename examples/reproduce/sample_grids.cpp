// Draws held-out prompts with the weights that the cells saved.
#include "sample_grids.hpp"

#include <algorithm>
#include <optional>
#include <sstream>
#include <string>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/report/image_grid.hpp>
#include <reward_tuner/report/png.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/run/prompt_set.hpp>

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

/// [P,3,H,W] of the model, with the adapter of `lora` if that is not empty.
rt::Tensor draw(const Study& study, const std::filesystem::path& lora, const rt::DdimOptions& options,
                const std::vector<rt::EvaluationPair>& pairs) {
  auto pipeline = rt::StableDiffusion::load(study.model);
  std::optional<rt::Lora> adapter;
  if (!lora.empty()) adapter.emplace(rt::Lora::load(pipeline.unet(), lora));
  return rt::evaluate(pipeline, rt::Ddim(options), pairs, {}, {.batch = static_cast<int>(pairs.size())})->images;
}

int longest_word(const std::string& text) {
  std::size_t longest = 0;
  std::istringstream words(text);
  for (std::string word; words >> word;) longest = std::max(longest, word.size());
  return static_cast<int>(longest);
}

}  // namespace

bool write_sample_grid(const Study& study, const std::vector<GridRow>& cells, const rt::DdimOptions& sampler,
                       const std::filesystem::path& file) {
  auto pairs =
      rt::evaluation_pairs(rt::PromptSet::from_file(study.held_out).prompts(), 1, study.settings.first_held_out_seed);
  pairs.resize(std::min<std::size_t>(pairs.size(), static_cast<std::size_t>(study.settings.images)));
  rt::GridOptions options;
  std::vector<rt::Tensor> rows;
  for (const auto& [title, cell] : cells) {
    const auto folder = study.out / cell;
    if (!std::filesystem::exists(folder / "report.json") || !std::filesystem::exists(folder / "lora")) continue;
    rows.push_back(draw(study, folder / "lora", sampler, pairs));
    options.row_labels.push_back(title);
    options.row_label_characters = std::max(options.row_label_characters, longest_word(title));  // no word is cut
  }
  if (rows.empty()) return false;
  rows.insert(rows.begin(), draw(study, {}, sampler, pairs));
  options.row_labels.insert(options.row_labels.begin(), "untuned");
  for (const auto& pair : pairs) options.column_labels.push_back(pair.prompt);
  rt::write_png(file, rt::image_grid(rows, options));
  return true;
}

}  // namespace rt_reproduce
