// Definitions of run_record.hpp.
#pragma once
#include <reward_tuner/run/run_record.hpp>

#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/version.hpp>
#include <reward_tuner/files/folder.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/report/curve_plot.hpp>
#include <reward_tuner/report/png.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE nlohmann::json run_versions() {
  return {{"reward_tuner", kVersion}, {"libtorch", TORCH_VERSION}, {"compiler", __VERSION__}};
}

REWARD_TUNER_INLINE RunRecord::RunRecord(const RunFolder& folder, const RunProgress& progress,
                                         const TrainerOptions& options)
    : path_(folder.path()),
      peak_tflops_(options.peak_tflops),
      metrics_(folder / "metrics.jsonl"),
      evaluations_(folder / "evaluations.jsonl"),
      timings_(folder / "timings.jsonl") {
  const std::int64_t done = progress.done();
  metrics_.truncate_after(done);
  evaluations_.truncate_after(progress.evaluations.empty() ? -1 : progress.evaluations.back().update);
  timings_.truncate_after(done);
  if (options.tensorboard)
    board_ = std::make_unique<TensorBoardWriter>(
        path_, done > 0 ? TensorBoardOptions{.resume_at = done + 1} : TensorBoardOptions{});
  make_folder(path_ / "images");
}

namespace detail {

/// A list for each field, in the order of the steps; `task` only where there are several.
inline nlohmann::json lists_of(const std::vector<StepReport>& steps) {
  nlohmann::json out = nlohmann::json::object();
  for (const StepReport& s : steps) {
    if (!s.task.empty()) out["task"].push_back(s.task);
    out["step"].push_back(s.step);
    out["clip_fraction"].push_back(s.clip_fraction);
    out["policy_change"].push_back(s.policy_change);
    out["cotangent_norm"].push_back(s.cotangent_norm);
  }
  return out;
}

/// Means over the rows of objectives on log-probabilities, by name; none of an update without rows.
inline std::map<std::string, double> rates_of_rows(const UpdateReport& r) {
  if (policy_rows(r) == 0) return {};
  return {{"ratio_deviation", r.ratio_deviation},
          {"log_prob_difference", r.log_prob_difference},
          {"largest_log_prob_difference", r.largest_log_prob_difference},
          {"ratio_mean", r.ratio_mean},
          {"ratio_std", r.ratio_std},
          {"clip_fraction", r.clip_fraction},
          {"clip_fraction_low", r.clip_fraction_low},
          {"clip_fraction_high", r.clip_fraction_high},
          {"policy_change", r.policy_change}};
}

}  // namespace detail

REWARD_TUNER_INLINE void RunRecord::add_update(const UpdateReport& r, double learning_rate) {
  const nlohmann::json plan{
      {"trained", r.plan.trained}, {"last", r.plan.last}, {"jumps", r.plan.jumps}, {"weights", r.plan.weights}};
  nlohmann::json line{{"update", r.update},
                      {"reward", r.reward},
                      {"components", r.components},
                      {"loss", r.loss},
                      {"regularizer", r.regularizer},
                      {"gradient_norm", r.gradient_norm},
                      {"regularizer_gradient_norm", r.regularizer_gradient_norm},
                      {"learning_rate", learning_rate},
                      {"plan", plan},
                      {"forwards", r.forwards},
                      {"backwards", r.backwards},
                      {"forward_samples", r.forward_samples},
                      {"backward_samples", r.backward_samples},
                      {"retained", r.retained},
                      {"images", r.images},
                      {"kept", r.kept},
                      {"groups", r.groups},
                      {"idle_groups", r.idle_groups},
                      {"zero_std_ratio", r.zero_std_ratio},
                      {"optimizer_steps", r.optimizer_steps},
                      {"steps", detail::lists_of(r.steps)},
                      {"skipped", r.skipped},
                      {"skipped_updates", r.skipped_updates},
                      {"gradient_scale", r.gradient_scale},
                      {"gradient_overflows", r.gradient_overflows}};
  const auto rates = detail::rates_of_rows(r);
  line.update(nlohmann::json(rates));
  if (r.towers.computed > 0) line["towers"] = {{"computed", r.towers.computed}, {"shared", r.towers.shared}};
  if (r.failed_scores > 0) line["failed_scores"] = r.failed_scores;
  if (!r.idle_reason.empty()) line["idle_reason"] = r.idle_reason;
  if (!r.warning.empty()) line["warning"] = r.warning;
  if (!r.skip_reason.empty()) line["skip_reason"] = r.skip_reason;
  metrics_.append(line);
  nlohmann::json timing{{"update", r.update}, {"seconds", r.seconds}, {"peak_tensor_bytes", r.peak_tensor_bytes}};
  r.times.each([&](const char* stage, double seconds) { timing["stages"][stage] = seconds; });
  timing["flops"] = {{"forward", r.flops.forward}, {"replayed", r.flops.replayed}, {"backward", r.flops.backward}};
  const double rate = tflop_per_second(r);
  timing["tflop_per_second"] = rate;
  if (peak_tflops_ > 0) timing["share_of_peak"] = rate / peak_tflops_;
  timings_.append(timing);
  if (!board_) return;
  board_->add_scalar("train/reward", r.reward, r.update);
  for (const auto& [name, value] : r.components) board_->add_scalar("train/" + name, value, r.update);
  board_->add_scalar("train/loss", r.loss, r.update);
  board_->add_scalar("train/regularizer", r.regularizer, r.update);
  board_->add_scalar("train/gradient_norm", r.gradient_norm, r.update);
  board_->add_scalar("train/kept", static_cast<double>(r.kept), r.update);
  board_->add_scalar("train/zero_std_ratio", r.zero_std_ratio, r.update);
  for (const auto& [name, value] : rates) board_->add_scalar("train/" + name, value, r.update);
  board_->add_scalar("train/learning_rate", learning_rate, r.update);
  board_->add_scalar("time/seconds", r.seconds, r.update);
  r.times.each(
      [&](const char* stage, double seconds) { board_->add_scalar(std::string("time/") + stage, seconds, r.update); });
  if (r.flops.total() > 0) {
    board_->add_scalar("flops/tflop", 1e-12 * static_cast<double>(r.flops.total()), r.update);
    board_->add_scalar("flops/tflop_per_second", rate, r.update);
    if (peak_tflops_ > 0) board_->add_scalar("flops/share_of_peak", rate / peak_tflops_, r.update);
  }
  board_->add_scalar("time/peak_tensor_bytes", static_cast<double>(r.peak_tensor_bytes), r.update);
  board_->flush();
}

REWARD_TUNER_INLINE void RunRecord::add_evaluation(const EvaluationRecord& record, const Tensor& images,
                                                   const std::vector<std::string>& prompts) {
  evaluations_.append(to_json(record));
  char name[32];
  std::snprintf(name, sizeof name, "update-%06lld.png", static_cast<long long>(record.update));
  const Tensor grid = image_grid({images}, grid_options(images, {"update " + std::to_string(record.update)}, prompts));
  write_png(path_ / "images" / name, grid);
  if (!board_) return;
  for (const auto& [metric, value] : record.metrics) board_->add_scalar("evaluation/" + metric, value, record.update);
  for (const auto& [sentinel, value] : record.sentinels)
    board_->add_scalar("sentinel/" + sentinel, value, record.update);
  board_->add_image("images", grid, record.update);
  board_->flush();
}

REWARD_TUNER_INLINE void RunRecord::write_before_after(const Tensor& before, const Tensor& after,
                                                       const std::vector<std::string>& prompts) const {
  write_png(path_ / "before_after.png",
            image_grid({before, after}, grid_options(before, {"before", "after"}, prompts)));
}

namespace detail {

/// A metric over the evaluations.
inline CurveSeries held_out_series(const RunProgress& progress, const std::string& metric, std::string name) {
  CurveSeries series{.name = std::move(name)};
  for (const auto& e : progress.evaluations)
    if (const auto found = e.metrics.find(metric); found != e.metrics.end())
      series.x.push_back(static_cast<double>(e.update)), series.y.push_back(found->second);
  return series;
}

inline void add_finite(CurveSeries series, CurvePlot& plot) {
  if (std::any_of(series.y.begin(), series.y.end(), [](double y) { return std::isfinite(y); }))
    plot.series.push_back(std::move(series));
}

/// {"reward": 0.5}: what the evaluation has of these metrics, without "judge." in front.
inline nlohmann::json metrics_of(const EvaluationRecord& evaluation, const std::vector<std::string>& names,
                                 bool judges) {
  nlohmann::json out = nlohmann::json::object();
  for (const std::string& name : names)
    if (const auto found = evaluation.metrics.find(judges ? judge_metric(name) : name);
        found != evaluation.metrics.end())
      out[name] = found->second;
  return out;
}

}  // namespace detail

REWARD_TUNER_INLINE void RunRecord::write_curve(const RunProgress& progress, const std::string& reward,
                                                const HeldOutMetrics& held_out) const {
  std::vector<CurvePlot> panels;
  CurvePlot plot{.title = "Reward (" + reward + ")", .x_label = "update", .y_label = "reward", .series = {}};
  CurveSeries train{.name = "training batches",
                    .y = progress.rewards,
                    .smoothing = std::max(1, static_cast<int>(progress.done() / 10))};
  for (std::int64_t i = 1; i <= progress.done(); ++i) train.x.push_back(static_cast<double>(i));
  detail::add_finite(std::move(train), plot);
  for (const std::string& name : held_out.trained)
    detail::add_finite(
        detail::held_out_series(progress, name, name == "reward" ? "held-out pairs" : "held-out pairs, " + name), plot);
  if (!plot.series.empty()) panels.push_back(std::move(plot));
  for (const std::string& name : held_out.judges) {
    CurvePlot judge{.title = "Judge (" + name + "), not trained", .x_label = "update", .y_label = name, .series = {}};
    detail::add_finite(detail::held_out_series(progress, judge_metric(name), "held-out pairs"), judge);
    if (!judge.series.empty()) panels.push_back(std::move(judge));
  }
  if (!panels.empty()) write_panels_svg(path_ / "reward.svg", panels);
}

REWARD_TUNER_INLINE void RunRecord::write_report(const RunProgress& p, const RunDescription& description,
                                                 const HeldOutMetrics& held_out, std::uint64_t seed,
                                                 const std::optional<BestEvaluation>& kept) const {
  const auto& before = p.evaluations.front();
  const auto& after = outcome_evaluation(p.evaluations, kept);
  nlohmann::json report{
      {"method", description.method},
      {"reward", description.reward},
      {"model", description.model},
      {"updates", p.done()},
      {"seed", seed},
      {"seconds", {{"tune", p.tune_seconds}, {"tune_cpu", p.tune_cpu_seconds}, {"evaluate", p.evaluate_seconds}}},
      {"before", before.metrics},
      {"after", after.metrics},
      {"sentinels", {{"before", before.sentinels}, {"after", after.sentinels}}},
      {"network",
       {{"forwards", p.forwards},
        {"backwards", p.backwards},
        {"forward_samples", p.forward_samples},
        {"backward_samples", p.backward_samples},
        {"flops", p.flops}}},
      {"reward_queries", p.images},
      {"peak_tensor_bytes", p.peak_tensor_bytes},
      {"skipped_updates", p.skipped_updates},
      {"versions", run_versions()}};
  if (kept) report["best"] = {{"by", kept->by}, {"update", kept->update}, {"value", kept->value}};
  if (p.tune_seconds > 0) {  // of the whole run, with what lies between updates
    const double rate = 1e-12 * static_cast<double>(p.flops) / p.tune_seconds;
    report["network"]["tflop_per_second"] = rate;
    if (peak_tflops_ > 0) report["network"]["share_of_peak"] = rate / peak_tflops_;
  }
  if (!held_out.judges.empty())
    for (const auto& e : p.evaluations)
      report["held_out"].push_back({{"update", e.update},
                                    {"trained", detail::metrics_of(e, held_out.trained, false)},
                                    {"judges", detail::metrics_of(e, held_out.judges, true)}});
  write_json(path_ / "report.json", report);
}

REWARD_TUNER_INLINE GridOptions RunRecord::grid_options(const Tensor& images, std::vector<std::string> rows,
                                                        const std::vector<std::string>& prompts) {
  constexpr std::int64_t kShownWidth = 128;  // small images are enlarged to about this
  GridOptions options;
  options.scale = static_cast<int>(std::max<std::int64_t>(1, kShownWidth / images.size(3)));
  options.row_labels = std::move(rows);
  options.column_labels.assign(prompts.begin(), prompts.begin() + images.size(0));
  return options;
}

}  // namespace reward_tuner
