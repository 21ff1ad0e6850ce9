// What all pages share.
#include "page.hpp"
#include "studies.hpp"

#include <cmath>

#include <reward_tuner/core/number_text.hpp>
#include <reward_tuner/files/atomic_file.hpp>

#include <examples/shared/markdown.hpp>

namespace rt_reproduce {

namespace rt = reward_tuner;

std::string whole(double value) { return std::to_string(std::llround(value)); }

std::string four_places(double value) { return rt::number_text("%.4f", value); }

std::vector<double> seed_values(const SeedValues& seeds) {
  std::vector<double> out;
  for (const auto& [seed, value] : seeds) out.push_back(value);
  return out;
}

std::string each_seed(const SeedValues& seeds) {
  std::string out;
  for (const auto& [seed, value] : seeds) out += (out.empty() ? "" : ", ") + number(value);
  return out;
}

Page::Page(const Study& study, std::filesystem::path page, std::filesystem::path images)
    : study_(study), page_(std::move(page)), images_(std::move(images)) {
  if (!page_.parent_path().empty()) std::filesystem::create_directories(page_.parent_path());
  std::filesystem::create_directories(images_);
}

void Page::write() const { rt::write_file_atomically(page_, rt_shared::wrapped_markdown(text_.str())); }

std::string Page::command() const {
  const Study usual = make_study(study_.kind, study_.quick);
  std::string command = "script/reproduce " + study_name(study_.kind) + (study_.quick ? " --quick" : "");
  if (study_.rounds != usual.rounds) command += " --rounds " + std::to_string(study_.rounds);
  if (study_.cpu_seconds != usual.cpu_seconds)
    command += " --cpu-seconds " + std::to_string(static_cast<int>(study_.cpu_seconds));
  if (study_.seeds != usual.seeds) command += " --seeds " + std::to_string(study_.seeds);
  for (const auto& start : study_.only) command += " --only " + start;
  return command;
}

void Page::completeness() {
  const auto all = cells(study_);
  std::vector<std::string> missing;
  for (const auto& c : all)
    if (!finished(study_, c.name)) missing.push_back(c.name);
  text_ << all.size() - missing.size() << " of " << all.size() << " cells are done.";
  if (!missing.empty()) {
    text_ << " Missing:";
    for (const auto& name : missing) text_ << " `" << name << "`";
    text_ << ".";
  }
  text_ << "\n\n";
}

void Page::settings(const std::vector<SettingsRow>& rows) {
  const Settings& s = study_.settings;
  const auto row = [&](const SettingsRow& r) { text_ << "| " << r.what << " | " << r.value << " |\n"; };
  text_ << "## Settings\n\n| what | all cells |\n|---|---|\n";
  row({"model", joined(study_.model.generic_string(), "; LoRA of rank ", s.rank,
                       " on all linear and convolution layers of the UNet")});
  for (const SettingsRow& r : rows) row(r);
  row({"optimizer",
       joined("AdamW, learning rate ", s.learning_rate,
              s.warm_up == 0 ? "" : joined(" after a warm-up of ", s.warm_up, " updates"), ", betas ", s.beta1, " and ",
              s.beta2, s.weight_decay == 0 ? ", no weight decay" : joined(", weight decay ", s.weight_decay),
              ", gradient clipped to norm ", s.clip,
              s.ema > 0 ? joined("; an average of the weights (decay ", s.ema, ") is evaluated") : "")});
  if (study_.rounds == 0)
    row({"budget", joined(whole(study_.cpu_seconds),
                          " s of CPU time for the updates of a cell, one thread; evaluations are not counted")});
  text_ << '\n';
}

void Page::image(const std::string& file, const std::string& alt) {
  text_ << "![" << alt << "]("
        << std::filesystem::relative(images_ / file, page_.parent_path().empty() ? "." : page_.parent_path())
               .generic_string()
        << ")\n\n";
}

void Page::plot(const std::string& file, const rt::CurvePlot& curves) {
  if (curves.series.empty()) return;
  rt::write_curve_svg(images_ / file, curves);
  image(file, curves.title);
}

SeedValues Page::by_seed(const std::function<std::string(std::uint64_t)>& name,
                         const std::function<double(const CellResult&)>& value) const {
  SeedValues out;
  for (int seed = 0; seed < study_.seeds; ++seed)
    if (const auto result = read_cell(study_, name(static_cast<std::uint64_t>(seed)))) out[seed] = value(*result);
  return out;
}

}  // namespace rt_reproduce
