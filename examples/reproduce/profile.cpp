#include "profile.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iostream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/number_text.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/report/curve_plot.hpp>
#include <reward_tuner/run/evaluation_rewards.hpp>
#include <reward_tuner/run/prompt_file.hpp>
#include <reward_tuner/run/run_record.hpp>
#include <reward_tuner/run/signal_meter.hpp>
#include <reward_tuner/samplers/any_sampler.hpp>

#include <examples/shared/load_model.hpp>
#include <examples/shared/outputs.hpp>
#include <examples/shared/rewards.hpp>
#include <examples/shared/sampler_options.hpp>

namespace rt_reproduce {

namespace rt = reward_tuner;

namespace {

/// "3.1 (2.8 to 3.4)" with values times `factor`.
std::string interval(const rt::Estimate& e, const char* format, double factor = 1) {
  if (!std::isfinite(e.low)) return "not seen";
  const auto text = [&](double value) { return rt::number_text(format, factor * value); };
  return text(e.value) + " (" + text(e.low) + " to " + text(e.high) + ")";
}

/// Of a squared norm, the norm.
rt::Estimate root(const rt::Estimate& e) {
  const auto root = [](double square) { return std::sqrt(std::max(0.0, square)); };
  return {root(e.value), root(e.low), root(e.high)};
}

/// 18,000: two digits.
std::string rounded(double images) {
  if (!std::isfinite(images)) return "not seen";
  const double unit = std::pow(10, std::max(0.0, std::floor(std::log10(std::max(1.0, images))) - 1));
  std::string digits = rt::number_text("%.0f", std::round(images / unit) * unit);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string images_text(const rt::Estimate& e) {
  if (!std::isfinite(e.low)) return "not seen";
  if (!std::isfinite(e.high)) return "above " + rounded(e.low);
  return rounded(e.value) + " (" + rounded(e.low) + " to " + rounded(e.high) + ")";
}

const char* weights_text(rt::StepWeights weights) {
  switch (weights) {
    case rt::StepWeights::kEqual:
      return "equal";
    case rt::StepWeights::kNoise:
      return "noise";
    case rt::StepWeights::kNoiseSquared:
      return "noise-squared";
  }
  return "";
}

void print(const rt::SignalTable& table) {
  const auto percent = [](const rt::Estimate& e) { return interval(e, "%.1f", 100); };
  std::cout << "| step | timestep | b/c | " << (table.pathwise ? "% of the pathwise gradient | its norm | " : "")
            << "% of the noise | images until signal = noise |\n|---|---|---|" << (table.pathwise ? "---|---|" : "")
            << "---|---|\n";
  for (const rt::StepSignal& s : table.steps) {
    const bool noisy = std::isfinite(s.quietness);
    std::cout << "| " << s.step << " | " << rt::number_text("%g", s.timestep) << " | "
              << (noisy ? rt::number_text("%.2f", s.quietness) : "-") << " | ";
    if (table.pathwise) std::cout << percent(s.pathwise_share) << " | " << interval(root(s.pathwise), "%.3g") << " | ";
    std::cout << (noisy ? percent(s.noise_share) : "-") << " | " << (noisy ? images_text(s.images) : "-") << " |\n";
  }
  std::cout << "\n| step weights | last steps left out | noise of an image | " << (table.pathwise ? "cosine | " : "")
            << "images until signal = noise |\n|---|---|---|" << (table.pathwise ? "---|" : "") << "---|\n";
  for (const rt::WeightedSignal& w : table.weightings) {
    std::cout << "| " << weights_text(w.weights) << " | " << w.skip_last << " | " << interval(w.noise, "%.3g") << " | ";
    if (table.pathwise) std::cout << interval(w.cosine, "%.2f") << " | ";
    std::cout << images_text(w.images) << " |\n";
  }
}

rt::CurvePlot plot_of(const rt::SignalTable& table) {
  rt::CurvePlot plot{.title = "What the steps carry", .x_label = "step", .y_label = "share", .series = {}};
  rt::CurveSeries noise{.name = "policy gradient's noise"}, path{.name = "pathwise gradient"};
  for (const rt::StepSignal& s : table.steps) {
    for (auto* series : {&noise, &path}) series->x.push_back(s.step);
    noise.y.push_back(s.noise_share.value);
    path.y.push_back(s.pathwise_share.value);
  }
  plot.series.push_back(noise);
  if (table.pathwise) plot.series.push_back(path);
  return plot;
}

}  // namespace

ProfileSettings profile_settings() {
  ProfileSettings s;
  s.model = "examples/models/tiny-shapes";
  s.prompts = "examples/tune/prompts_pairs_train.txt";
  s.rewards = {"composition"};
  s.steps = 10;
  s.guidance = 1;
  s.eta = 1;
  s.targets = {"all"};
  s.batch = 4;
  s.samples_per_prompt = 4;
  return s;
}

void profile(const ProfileSettings& s) {
  rt::SignalTable table;
  rt_shared::Outputs outputs;
  outputs.add("--json", s.json, [&] {
    nlohmann::json report = to_json(table);
    report["settings"] = {{"model", s.model.string()},
                          {"prompts", s.prompts.string()},
                          {"rewards", s.rewards},
                          {"steps", s.steps},
                          {"guidance", s.guidance},
                          {"eta", *s.eta},
                          {"rank", s.rank},
                          {"targets", s.targets},
                          {"prompts_of_batch", s.batch},
                          {"samples_per_prompt", s.samples_per_prompt},
                          {"seed", s.seed},
                          {"versions", rt::run_versions()}};
    rt::write_json(s.json, report);
  });
  outputs.add("--plot", s.plot, [&] { rt::write_curve_svg(s.plot, plot_of(table)); });
  const std::vector<std::string> prompts = rt::read_prompts(s.prompts);
  const rt::AnySampler sampler(rt_shared::sampler_options(s));
  const rt_shared::ChosenReward reward = rt_shared::make_reward(s);
  auto [pipeline, loras] = rt_shared::load_model(s);
  const auto lora = rt::Lora::attach(pipeline.unet(), {.rank = s.rank, .targets = s.targets, .seed = s.seed});
  table = signal_table(step_gradients(
      pipeline, sampler, rt::with_clip(reward.reward, pipeline), lora.parameters(), prompts,
      {.batches = s.batches,
       .prompts = s.batch,
       .samples_per_prompt = s.samples_per_prompt,
       .seed = s.seed,
       .on_batch = [&](int done) { std::cerr << '\r' << done << '/' << s.batches << " batches" << std::flush; }}));
  std::cerr << '\n';
  std::cout << reward.text << ", T = " << s.steps << ", guidance " << s.guidance << ", eta " << *s.eta << ": "
            << table.images << " images in " << table.batches << " batches, mean reward "
            << rt::number_text("%.3f", table.reward) << "; 95% intervals\n\n";
  print(table);
  outputs.write();
}

}  // namespace rt_reproduce
