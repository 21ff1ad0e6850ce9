// rt-tune score: image files by any rewards.
#include <cstddef>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/models/shared_model.hpp>
#include <reward_tuner/run/image_scores.hpp>
#include <reward_tuner/run/prompt_file.hpp>
#include <reward_tuner/run/run_record.hpp>

#include <examples/shared/method_table.hpp>
#include <examples/shared/outputs.hpp>
#include <examples/shared/rewards.hpp>
#include <examples/shared/settings_table.hpp>

#include "commands.hpp"
#include "flags.hpp"

namespace rt_tune {

namespace rt = reward_tuner;

namespace {

const SettingsTable& score_rows() {
  static const SettingsTable rows =
      rows_of(settings_table(), {"reward", "reward-model", "prompt-field", "symmetry-deviation", "text-weight",
                                 "jpeg-quality", "aesthetic-head", "leave-one-out", "device", "threads"});
  return rows;
}

struct ScoreSettings : TuneSettings {
  ScoreSettings() { rewards.clear(); }
  std::vector<std::filesystem::path> images;  // --images
  std::string prompt;                         // --prompt
  int images_per_prompt = 1;                  // --images-per-prompt
  int score_batch = 16;                       // --batch
  std::filesystem::path json;                 // --json
};

/// A prompt for each image. Errors: neither --prompt nor --prompts, or both; a number of prompts that does not fit.
std::vector<std::string> prompts_of(const ScoreSettings& s, std::size_t images) {
  REWARD_TUNER_CHECK(s.prompt.empty() != s.prompts.empty(),
                     "[rt-tune] score expected one of --prompts FILE and --prompt TEXT, got ",
                     s.prompt.empty() ? "neither" : "both");
  REWARD_TUNER_CHECK(s.images_per_prompt >= 1, "[rt-tune] --images-per-prompt expected a number >= 1, got ",
                     s.images_per_prompt);
  if (s.prompts.empty()) return std::vector<std::string>(images, s.prompt);
  std::vector<std::string> prompts;
  const std::vector<std::string> of_file = rt::read_prompts(s.prompts, {.field = s.prompt_field});
  for (const std::string& prompt : of_file)
    prompts.insert(prompts.end(), static_cast<std::size_t>(s.images_per_prompt), prompt);
  REWARD_TUNER_CHECK(prompts.size() == images, "[rt-tune] score expected ", prompts.size(), " images, ",
                     s.images_per_prompt, " of each of the ", of_file.size(), " prompts in ", s.prompts.string(),
                     ", got ", images, ": --images-per-prompt says how many come one after another");
  return prompts;
}

/// The rewards of --reward, those that need a CLIP with that of --model.
std::vector<rt::EvaluationReward> rewards_of(const ScoreSettings& s) {
  REWARD_TUNER_CHECK(!s.rewards.empty(), "[rt-tune] score expected --reward NAME, got none");
  check_reward_models(s, {s.rewards});
  std::vector<rt::EvaluationReward> rewards;
  std::shared_ptr<const rt::ClipModel> clip;
  for (rt::Judge& judge : named_rewards(s, s.rewards, "--reward")) {
    if (judge.reward.needs_clip()) {
      REWARD_TUNER_CHECK(!s.model.empty() && std::filesystem::is_directory(s.model / "clip"), "[rt-tune] --reward ",
                         judge.name, " expected a CLIP, in clip/ of --model DIR or by --reward-model, got none",
                         s.model.empty() ? "" : " in " + s.model.string());
      clip = rt::shared_model<rt::ClipModel>(s.model / "clip", s.device);
      judge.reward.bind_clip(clip);
    }
    rewards.push_back({judge.name, std::move(judge.reward)});
  }
  return rewards;
}

nlohmann::json scores_json(const ScoreSettings& s, const std::vector<std::filesystem::path>& files,
                           const std::vector<std::string>& prompts, const rt::ImageScores& scores) {
  nlohmann::json images = nlohmann::json::array();
  for (std::size_t i = 0; i < files.size(); ++i) {
    nlohmann::json own = nlohmann::json::object();
    for (const auto& [name, values] : scores.values) own[name] = values[i];
    images.push_back({{"file", files[i].string()}, {"prompt", prompts[i]}, {"scores", std::move(own)}});
  }
  nlohmann::json report{{"count", files.size()},
                        {"means", scores.means},
                        {"images", std::move(images)},
                        {"versions", rt::run_versions()}};
  for (const Setting& row : score_rows())
    if (row.applies(s, method_entry(s.method))) report["settings"][config_key(row)] = row.field.json(s);
  return report;
}

int score(const ScoreSettings& s) {
  check_rules(score_rows(), s, method_entry(s.method));
  std::vector<std::filesystem::path> files;
  for (const auto& path : s.images)
    for (auto& file : rt::image_files(path)) files.push_back(std::move(file));
  const std::vector<std::string> prompts = prompts_of(s, files.size());
  rt::ImageScores scores;
  Outputs outputs;
  outputs.add("--json", s.json, [&] { rt::write_json(s.json, scores_json(s, files, prompts, scores)); });
  apply_threads(s.threads);
  scores = rt::score_images(files, prompts, rewards_of(s), {.batch = s.score_batch, .device = s.device});
  for (const auto& [name, mean] : scores.means)
    std::cout << std::left << std::setw(22) << name << std::right << std::fixed << std::setprecision(4) << std::setw(10)
              << mean << '\n';
  outputs.write();
  return kDone;
}

void add_score_command(CLI::App& app, Command& chosen, const std::string&) {
  auto settings = std::make_shared<ScoreSettings>();
  ScoreSettings& s = *settings;
  auto* c = app.add_subcommand("score", "Score image files by rewards");
  c->add_option("--images", s.images,
                "PNG or JPEG files, or folders of them, by their names, numbers as numbers (repeat the flag)")
      ->required()
      ->type_name("DIR|FILE");
  c->add_option("--prompts", s.prompts, "a file as `rt-tune tune --prompts` takes it, with a prompt for each image")
      ->type_name("FILE");
  c->add_option("--prompt", s.prompt, "instead: one prompt for all of them")->type_name("TEXT");
  c->add_option("--images-per-prompt", s.images_per_prompt, "images of a prompt, one after another")
      ->capture_default_str();
  c->add_option("--model", s.model,
                "a model folder whose clip/ rewards use that need a CLIP and have none of their own")
      ->type_name("DIR");
  c->add_option("--batch", s.score_batch, "images at a time")->capture_default_str();
  c->add_option("--json", s.json, "also write the score of every image, and the means, to this file")
      ->type_name("FILE");
  add_flags(*c, score_rows(), s);
  std::string rewards = "\nRewards, each scored by itself:\n";
  for (const auto& entry : reward_entries())
    rewards += "  " + std::string(entry.name) + ": " + std::string(entry.summary) + "\n";
  c->footer(rewards);
  c->callback([settings, &chosen] { chosen = [settings] { return score(*settings); }; });
}

const RegisteredCommand registered_score(7, add_score_command);

}  // namespace
}  // namespace rt_tune
