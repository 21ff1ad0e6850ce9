// The table of rewards that rt-tune knows by name. A new reward is one line here.
#include "rewards.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/owl_vit.hpp>
#include <reward_tuner/models/shared_model.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/rewards/brightness.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/colorfulness.hpp>
#include <reward_tuner/rewards/composition.hpp>
#include <reward_tuner/rewards/hps.hpp>
#include <reward_tuner/rewards/image_reward.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/jpeg_size.hpp>
#include <reward_tuner/rewards/objectness.hpp>
#include <reward_tuner/rewards/package.hpp>
#include <reward_tuner/rewards/pick_score.hpp>
#include <reward_tuner/rewards/random_shift.hpp>
#include <reward_tuner/rewards/remote.hpp>
#include <reward_tuner/rewards/remote_file.hpp>
#include <reward_tuner/rewards/remote_options.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>
#include <reward_tuner/run/options_json.hpp>
#include <reward_tuner/run/run_fingerprint.hpp>
#include <reward_tuner/shapes/composition.hpp>
#include <reward_tuner/shapes/hue_parity.hpp>
#include <reward_tuner/shapes/places.hpp>
#include <reward_tuner/shapes/shape_reward.hpp>

#include "method_table.hpp"

namespace rt_shared {

namespace {

/// What --reward-model names of a reward.
enum class OwnModel {
  kNone,
  kFiles,
  kServer  // an address or a file about it; several of the kind have names NAME.OWN
};

struct Row {
  RewardEntry entry;
  std::function<rt::AnyReward(const TuneSettings&)> make;  // not of a server, which is made by its name: remote()
  OwnModel model = OwnModel::kNone;
};

rt::AnyReward jpeg_error(const TuneSettings& s, bool incompressible) {
  rt::JpegErrorOptions options{.incompressible = incompressible};
  if (s.jpeg_quality) options.quality = *s.jpeg_quality;
  return rt::AnyReward(rt::JpegErrorReward(options));
}

rt::AnyReward jpeg_size(const TuneSettings& s, bool incompressible) {
  rt::JpegSizeOptions options{.incompressible = incompressible};
  if (s.jpeg_quality) options.quality = *s.jpeg_quality;
  return rt::AnyReward(rt::JpegSizeReward(options));
}

/// Where a reward without a model of the folder has its own.
std::filesystem::path required_model(const TuneSettings& s, const std::string& name) {
  const std::filesystem::path path = reward_model(s, name);
  REWARD_TUNER_CHECK(!path.empty(), "[rt-tune] the reward ", name,
                     " expected a model of its own, got none: give "
                     "--reward-model ",
                     name, "=PATH (docs/rewards.md says which file)");
  return path;
}

std::shared_ptr<const rt::ClipModel> required_clip(const TuneSettings& s, const std::string& name) {
  return rt::shared_model<rt::ClipModel>(required_model(s, name), s.device);
}

std::shared_ptr<const rt::OwlVitModel> required_owl(const TuneSettings& s, const std::string& name) {
  return rt::shared_model<rt::OwlVitModel>(required_model(s, name), s.device);
}

bool is_address(const std::filesystem::path& path) {
  return path.string().starts_with("http://") || path.string().starts_with("https://");
}

/// Of an address, or of a JSON file that says more.
rt::RemoteOptions server_options(const std::filesystem::path& where) {
  return is_address(where) ? rt::RemoteOptions{.url = where.string()} : rt::read_remote_options(where);
}

rt::AnyReward remote(const TuneSettings& s, const std::string& name) {
  return rt::AnyReward(rt::RemoteReward(server_options(required_model(s, name))), name);
}

rt::AnyReward aesthetic(const TuneSettings& s) {
  const std::filesystem::path folder = reward_model(s, "aesthetic");
  REWARD_TUNER_CHECK(folder.empty() || s.aesthetic_head.empty(),
                     "[rt-tune] --aesthetic-head cannot be combined with --reward-model aesthetic=DIR, which has a "
                     "head: head.safetensors");
  if (!folder.empty())
    return rt::AnyReward(rt::AestheticReward(rt::AestheticHead::load(folder / "head.safetensors"),
                                             rt::shared_model<rt::ClipModel>(folder, s.device)));
  REWARD_TUNER_CHECK(!s.aesthetic_head.empty(),
                     "[rt-tune] --reward aesthetic expected a head, got none: give --aesthetic-head FILE, or "
                     "--reward-model aesthetic=DIR");
  return rt::AnyReward(rt::AestheticReward(rt::AestheticHead::load(s.aesthetic_head)));
}

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {{"symmetry", "left-right mirror symmetry of the image; differentiable"},
       [](const TuneSettings& s) {
         return rt::AnyReward(rt::SymmetryReward({.deviation = s.symmetry_deviation, .text_weight = s.text_weight}));
       }},
      {{"clip_score",
        "cosine of image and prompt in the CLIP of --reward-model, or in the model folder's clip/; differentiable"},
       [](const TuneSettings& s) {
         const std::filesystem::path folder = reward_model(s, "clip_score");
         if (folder.empty()) return rt::AnyReward(rt::ClipScoreReward());
         return rt::AnyReward(rt::ClipScoreReward(rt::shared_model<rt::ClipModel>(folder, s.device)));
       },
       OwnModel::kFiles},
      {{"jpeg_error", "how little the image changes when stored as JPEG; differentiable"},
       [](const TuneSettings& s) { return jpeg_error(s, false); }},
      {{"jpeg_incompressible", "the opposite: how much it changes; differentiable"},
       [](const TuneSettings& s) { return jpeg_error(s, true); }},
      {{"jpeg_size", "how few kilobytes it takes as a JPEG file; black box"},
       [](const TuneSettings& s) { return jpeg_size(s, false); }},
      {{"jpeg_size_incompressible", "the opposite: how many kilobytes; black box"},
       [](const TuneSettings& s) { return jpeg_size(s, true); }},
      {{"brightness", "mean brightness; differentiable (a weight below 0 darkens)"},
       [](const TuneSettings&) { return rt::AnyReward(rt::BrightnessReward()); }},
      {{"colorfulness", "spread and strength of colors; differentiable"},
       [](const TuneSettings&) { return rt::AnyReward(rt::ColorfulnessReward()); }},
      {{"aesthetic",
        "LAION's aesthetic score: an affine head on the image's vector in the CLIP of --reward-model, or in the model "
        "folder's clip/ (--aesthetic-head); differentiable"},
       aesthetic,
       OwnModel::kFiles},
      {{"pickscore", "PickScore of image and prompt (--reward-model); differentiable"},
       [](const TuneSettings& s) { return rt::AnyReward(rt::PickScoreReward(required_clip(s, "pickscore"))); },
       OwnModel::kFiles},
      {{"hps_v2", "HPS v2 of image and prompt (--reward-model); differentiable"},
       [](const TuneSettings& s) { return rt::AnyReward(rt::HpsReward(required_clip(s, "hps_v2"))); },
       OwnModel::kFiles},
      {{"hps_v2.1", "HPS v2.1 of image and prompt (--reward-model); differentiable"},
       [](const TuneSettings& s) { return rt::AnyReward(rt::HpsReward(required_clip(s, "hps_v2.1"))); },
       OwnModel::kFiles},
      {{"image_reward", "ImageReward of image and prompt (--reward-model); differentiable"},
       [](const TuneSettings& s) {
         return rt::AnyReward(rt::ImageReward::load(required_model(s, "image_reward"), {}, s.device));
       },
       OwnModel::kFiles},
      {{"objectness", "how surely an OWL-ViT finds in the image what the prompt says (--reward-model); differentiable"},
       [](const TuneSettings& s) { return rt::AnyReward(rt::ObjectnessReward(required_owl(s, "objectness"))); },
       OwnModel::kFiles},
      {{"object_composition",
        "the same of each object that the prompt names, on average (--reward-model); differentiable"},
       [](const TuneSettings& s) {
         return rt::AnyReward(rt::CompositionReward(required_owl(s, "object_composition")));
       },
       OwnModel::kFiles},
      {{"package", "a reward that script/export_reward wrote (--reward-model package=FILE.pt2)"},
       [](const TuneSettings& s) {
         return rt::AnyReward(rt::PackageReward(required_model(s, "package"), {}, s.device));
       },
       OwnModel::kFiles},
      {{"remote",
        "the scores of a server (--reward-model remote=http://HOST:PORT/PATH, or =FILE.json, which says more); of "
        "several each has a name of its own, remote.NAME; black box"},
       nullptr,
       OwnModel::kServer},
      {{"composition", "how surely every object of the caption is in the image; black box"},
       [](const TuneSettings&) { return rt::AnyReward(rt::shapes::CompositionReward()); }},
      {{"parity",
        "how evenly the hues of a prompt's images spread, for prompts that name no color; black box, scores groups"},
       [](const TuneSettings& s) {
         return rt::AnyReward(rt::shapes::HueParityReward({.leave_one_out = s.leave_one_out}));
       }},
      {{"shapes", "does the image show the caption's shapes and colors; black box"},
       [](const TuneSettings&) { return rt::AnyReward(rt::shapes::ShapeReward()); }},
      {{"places", "do the caption's two objects lie to one another as it says; black box"},
       [](const TuneSettings&) { return rt::AnyReward(rt::shapes::PlacesReward()); }},
  };
  return table;
}

std::pair<std::string, double> parse(const std::string& text, const std::string& shown) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return {text, 1.0};
  const std::string number = text.substr(colon + 1);
  char* end = nullptr;
  const double weight = std::strtod(number.c_str(), &end);
  REWARD_TUNER_CHECK(!number.empty() && *end == '\0' && std::isfinite(weight), "[rt-tune] ", shown,
                     " expected name or name:weight, got '", text, "'");
  return {text.substr(0, colon), weight};
}

const Row& row_of(const std::string& name, const std::string& shown) {
  std::string known;
  for (const auto& row : rows()) {
    if (row.entry.name == name) return row;
    const std::string kind = std::string(row.entry.name) + ".";
    if (row.model == OwnModel::kServer && name.starts_with(kind) && name.size() > kind.size()) return row;
    known += (known.empty() ? "" : ", ") + std::string(row.entry.name);
  }
  rt::detail::fail("[rt-tune] ", shown, " expected one of ", known, ", got '", name, "'");
}

rt::AnyReward made(const Row& row, const std::string& name, const TuneSettings& s) {
  return row.model == OwnModel::kServer ? remote(s, name) : row.make(s);
}

/// The names in lists of "name" or "name:weight".
std::set<std::string> names_in(const std::vector<std::vector<std::string>>& rewards) {
  std::set<std::string> names;
  for (const auto& list : rewards)
    for (const auto& spec : list) names.insert(spec.substr(0, spec.rfind(':')));
  return names;
}

/// Of "NAME=PATH".
std::pair<std::string, std::filesystem::path> named_path(const std::string& text) {
  const auto equals = text.find('=');
  REWARD_TUNER_CHECK(equals != std::string::npos && equals > 0 && equals + 1 < text.size(),
                     "[rt-tune] --reward-model expected NAME=PATH, got '", text, "'");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

/// What a server is asked and which images then train. Where it is, how it is reached, how many images a request takes
/// and how long it is waited for may change.
std::string questions(const rt::RemoteOptions& options) {
  nlohmann::json asked = rt::options_json(options);
  for (const char* key : {"url", "key_variable", "proxy_from_environment", "expect_server", "batch", "concurrency",
                          "timeout_seconds", "connect_seconds", "total_seconds", "retries", "backoff_seconds"})
    asked.erase(key);
  return asked.dump();
}

/// A line for each file: its place in the folder, its size, and its first and last bytes.
std::vector<std::string> identity(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::is_directory(path)) files.push_back(path);
  else
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
      if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> lines;
  for (const auto& file : files) {
    constexpr std::uintmax_t kBytes = 1 << 16;
    const std::uintmax_t size = std::filesystem::file_size(file), few = std::min(size, kBytes);
    std::string ends(2 * few, '\0');
    std::ifstream in(file, std::ios::binary);
    in.read(ends.data(), static_cast<std::streamsize>(few));
    in.seekg(static_cast<std::streamoff>(size - few));
    in.read(ends.data() + few, static_cast<std::streamsize>(few));
    REWARD_TUNER_CHECK(in.good(), "[rt-tune] --reward-model expected a readable file, got none at ", file.string());
    const bool alone = file == path;
    lines.push_back((alone ? "" : file.lexically_relative(path).string()) + " " + std::to_string(size));
    lines.push_back(std::move(ends));
  }
  return lines;
}

}  // namespace

const std::vector<RewardEntry>& reward_entries() {
  static const std::vector<RewardEntry> entries = [] {
    std::vector<RewardEntry> list;
    for (const auto& row : rows()) list.push_back(row.entry);
    return list;
  }();
  return entries;
}

ChosenReward make_reward(const TuneSettings& settings, const std::string& shown, RewardModels models) {
  REWARD_TUNER_CHECK(!settings.rewards.empty(), "[rt-tune] ", shown, " expected at least one reward, got none");
  std::vector<rt::Weighted<rt::AnyReward>> parts;
  std::vector<std::string> left_out;
  std::string text, black_box;
  bool per_group = false;
  for (const auto& spec : settings.rewards) {
    const auto [name, weight] = parse(spec, shown);
    const Row& row = row_of(name, shown);
    const bool outlined = models == RewardModels::kLeftOut && !reward_model(settings, name).empty();
    parts.push_back(rt::weighted(weight, outlined ? rt::AnyReward(rt::BrightnessReward()) : made(row, name, settings)));
    if (outlined) left_out.push_back(name);
    if (!parts.back().reward.differentiable()) black_box = name;
    per_group = per_group || parts.back().reward.per_group();
    text += (text.empty() ? "" : " + ") + spec;
  }
  const bool alone = parts.size() == 1 && parts[0].weight == 1.0;
  if (alone) text = parse(settings.rewards[0], shown).first;
  rt::AnyReward reward = alone ? parts[0].reward : rt::weighted_sum(std::move(parts));
  if (settings.random_shift == 0) return {std::move(reward), text, black_box, per_group, left_out};
  return {rt::AnyReward(rt::randomly_shifted(std::move(reward), settings.random_shift)),
          text + ", shifted by up to " + std::to_string(settings.random_shift) + " pixels", black_box, per_group,
          left_out};
}

std::vector<rt::Judge> named_rewards(const TuneSettings& settings, const std::vector<std::string>& names,
                                     const std::string& shown) {
  std::set<std::string> seen;
  std::vector<rt::Judge> rewards;
  for (const auto& name : names) {
    REWARD_TUNER_CHECK(seen.insert(name).second, "[rt-tune] ", shown, " expected each name once, got ", name, " again");
    rewards.push_back({name, made(row_of(name, shown), name, settings)});
  }
  return rewards;
}

void check_judges(const TuneSettings& settings, const std::vector<std::vector<std::string>>& trained) {
  for (const auto& name : settings.judges) row_of(name, "--judge");
  for (const auto& name : names_in(trained))
    REWARD_TUNER_CHECK(std::find(settings.judges.begin(), settings.judges.end(), name) == settings.judges.end(),
                       "[rt-tune] --judge expected a reward that is not trained, got ", name);
}

std::vector<rt::Judge> make_judges(const TuneSettings& settings, const std::vector<std::vector<std::string>>& trained) {
  check_judges(settings, trained);
  return named_rewards(settings, settings.judges, "--judge");
}

std::vector<std::string> deciding_judges(const TuneSettings& settings) {
  const auto& judges = settings.judges;
  const bool judged = std::find(judges.begin(), judges.end(), settings.keep_best) != judges.end();
  return judged ? std::vector{settings.keep_best} : std::vector<std::string>();
}

std::filesystem::path reward_model(const TuneSettings& settings, const std::string& name) {
  for (const auto& text : settings.reward_models) {
    const auto [own, path] = named_path(text);
    if (own != name) continue;
    const bool server = row_of(name, "--reward-model").model == OwnModel::kServer;
    REWARD_TUNER_CHECK((server && is_address(path)) || std::filesystem::exists(path), "[rt-tune] --reward-model ", name,
                       server ? " expected http://HOST:PORT/PATH or a JSON file" : " expected a folder or file",
                       ", got nothing at ", path.string());
    return path;
  }
  return {};
}

void check_reward_models(const TuneSettings& settings, const std::vector<std::vector<std::string>>& rewards) {
  const std::set<std::string> used = names_in(rewards);
  std::set<std::string> seen;
  for (const auto& text : settings.reward_models) {
    const std::string name = named_path(text).first;
    REWARD_TUNER_CHECK(row_of(name, "--reward-model").model != OwnModel::kNone,
                       "[rt-tune] --reward-model expected a reward with a model of its own, got ", name);
    REWARD_TUNER_CHECK(used.contains(name), "[rt-tune] --reward-model expected a reward that is in use (",
                       listed({used.begin(), used.end()}), "), got ", name);
    REWARD_TUNER_CHECK(seen.insert(name).second, "[rt-tune] --reward-model expected each name once, got ", name,
                       " again");
  }
}

nlohmann::json reward_model_digests(const TuneSettings& settings,
                                    const std::vector<std::vector<std::string>>& deciding) {
  nlohmann::json digests = nlohmann::json::object();
  for (const auto& name : names_in(deciding))
    if (const auto path = reward_model(settings, name); !path.empty()) {
      const bool server = row_of(name, "--reward").model == OwnModel::kServer;
      digests[name] = rt::digest(server ? std::vector{questions(server_options(path))} : identity(path));
    }
  return digests;
}

}  // namespace rt_shared
