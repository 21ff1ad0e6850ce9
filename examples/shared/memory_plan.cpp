// The course of an update from the settings, and the settings that make it smaller.
#include "memory_plan.hpp"

#include <algorithm>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/byte_size.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/image_size.hpp>
#include <reward_tuner/models/model_files.hpp>
#include <reward_tuner/models/pipeline_corrections.hpp>
#include <reward_tuner/models/pipeline_family.hpp>
#include <reward_tuner/models/pipeline_lora.hpp>
#include <reward_tuner/objectives/clipped_ratio.hpp>
#include <reward_tuner/objectives/kl_regularized.hpp>
#include <reward_tuner/optim/adamw_8bit.hpp>

#include "defaults.hpp"

namespace rt_shared {

namespace {

namespace fs = std::filesystem;

/// Adds a part's numbers and layers from its weights' names and shapes; mapped files are not read for that.
void outline_part(ModelOutline& model, const std::string& part, const std::map<std::string, rt::Tensor>& weights) {
  constexpr std::string_view kWeight = ".weight";
  for (const auto& [name, weight] : weights) {
    if (!weight.is_floating_point()) continue;  // position ids
    model.numbers[part] += weight.numel();
    const bool layer = (weight.dim() == 2 || weight.dim() == 4) && name.ends_with(kWeight);
    if (layer && name.find("embedding.") == std::string::npos)
      model.layers[part].push_back(name.substr(0, name.size() - kWeight.size()));
  }
}

/// The rank of the adapters on each layer, and all of their numbers.
struct Adapters {
  std::map<std::string, std::int64_t> rank;
  std::int64_t numbers = 0;

  void add(const rt::LoraLayers& layers) {
    for (const auto& [path, factors] : layers) {
      rank[path] += factors.down.size(0);
      numbers += factors.down.numel() + factors.up.numel();
    }
  }
};

const std::vector<std::string>& text_targets() {
  static const std::vector<std::string> targets = {"q_proj", "k_proj", "v_proj", "out_proj"};
  return targets;
}

/// Adapters of the given rank on the layers that targets name, and those that are there already.
rt::SketchTraining training(std::int64_t rank, std::vector<std::string> targets, Adapters present) {
  rt::SketchTraining out;
  out.rank = [rank, targets = std::move(targets), present = std::move(present)](const std::string& path, bool linear) {
    const auto found = present.rank.find(path);
    std::int64_t sum = found == present.rank.end() ? 0 : found->second;
    for (const std::string& target : targets)
      if (target == "all" || (target == "all-linear" ? linear : rt::detail::lora_target_matches(path, target)))
        return sum + rank;
    return sum;
  };
  return out;
}

bool passes_input(const TuneSettings& s, const MethodEntry& method) {
  return s.gradient_stop == StopName::kOwn ? method.unit == MethodUnit::kPassed : s.gradient_stop == StopName::kPass;
}

/// The steps and the images that a method trains.
void shape_course(rt::UpdateShape& shape, const TuneSettings& s, const MethodEntry& method) {
  shape.steps = s.steps;
  shape.trained = s.trained_steps;
  shape.images = s.batch;
  shape.guided = s.guidance > 1;
  shape.compared = s.regularizer == RegularizerName::kKl;
  if (s.regularizer == RegularizerName::kPretraining) shape.own_rows = s.pretraining_batch;
  if (method.knows("gradient")) {
    shape.passes_input = passes_input(s, method);
    if (method.name == "draft-lv") shape.replicas = s.noises;
    if (method.name == "draft-lv" || method.name == "refl") shape.trained = 1;
    if (method.name == "alignprop" && s.horizon != rt::HorizonDraw::kFixed) shape.trained = s.steps;  // at most
    return;
  }
  const std::int64_t branches = s.branches.value_or(1), roots = std::int64_t{s.batch} * s.samples_per_prompt;
  shape.samples = true;
  shape.denoises = method.knows("denoising");
  shape.images = roots * branches;
  if (method.name != "lsrl") shape.trained = s.steps;
  shape.compared = needs_reference(s, method) && !shape.denoises;
  // what is kept to train on
  std::int64_t kept = branches > 1 ? 2 * roots : shape.images;
  if (s.weighting == rt::RewardWeighting::kBest && shape.denoises) kept = std::int64_t{s.batch} * s.best;
  shape.rows = s.rows > 0 ? s.rows : s.micro_batch > 0 ? std::min<std::int64_t>(s.micro_batch, kept) : kept;
  const std::int64_t of_image = shape.denoises ? s.noisings : s.step_per_timestep ? 1 : shape.trained;
  // optimizer steps: as asked for, or the objective's own number
  rt::RoundOptions round{.updates_per_epoch = s.updates_per_epoch, .step_per_timestep = s.step_per_timestep};
  if (method.knows("dpok")) round = rt::KlRegularized::completed({.round = round}, {}).round;
  else if (method.knows("clip")) round = rt::ClippedRatio::completed({.round = round}, {}).round;
  const std::int64_t updates = std::max(1, round.updates_per_epoch);
  shape.step_rows = (kept * of_image + updates - 1) / updates;
}

rt::EngineOptions engine(const TuneSettings& s) {
  return {.micro_batch = s.micro_batch,
          .memory = s.memory,
          .replay_batch = s.replay_batch,
          .decode_batch = s.decode_batch,
          .merge_adapters = !s.adapters_apart,
          .rollout_dtype = s.rollout_dtype,
          .autocast = s.autocast,
          .activation_checkpointing = s.activation_checkpointing};
}

}  // namespace

ModelOutline ModelOutline::read(const TuneSettings& s) {
  const auto files =
      rt::ModelFiles::open(s.model, {.variant = s.variant, .tokenizer = s.tokenizer, .prediction = s.prediction});
  const auto family = rt::pipeline_family(files.config("model_index"), files.where("model_index"));
  ModelOutline model;
  model.unet = rt::pipeline_unet(family, files.config("unet"), files.where("unet"));
  model.vae = rt::AutoencoderKLConfig::from_json(files.config("vae"), files.where("vae"));
  for (const std::string& part : files.networks()) {
    outline_part(model, part, files.tensors(part));
    if (part.starts_with("text_encoder"))
      model.text.push_back(rt::ClipTextConfig::from_json(files.config(part), files.where(part)));
  }
  REWARD_TUNER_CHECK(!model.text.empty(), "[rt-tune] --model expected a text encoder in ", s.model.string(),
                     ", got none");
  if (const auto clip = s.model / "clip"; fs::is_directory(clip)) {
    model.judge = rt::ClipConfig::load(clip / "config.json").vision;
    const rt::WeightsSource weights = rt::find_weights(clip, rt::kTransformersWeights, s.variant).open();
    std::map<std::string, rt::Tensor> tensors;
    for (const std::string& name : weights.names()) tensors[name] = weights.tensor(name);
    outline_part(model, "clip", tensors);
  }
  return model;
}

std::int64_t MemoryPlan::held_bytes() const {
  std::int64_t sum = 0;
  for (const auto& [name, bytes] : held) sum += bytes;
  return sum;
}

MemoryPlan memory_plan(const ModelOutline& model, const TuneSettings& s, const MethodEntry& method,
                       const ChosenReward& reward, const PlanDevice& device) {
  constexpr std::int64_t kFactor = 4;        // a number of a LoRA, of its gradient and of a moment
  std::map<std::string, Adapters> adapters;  // by part
  rt::LoraParts parts = model.layers;
  parts.erase("vae");
  parts.erase("clip");
  const auto read = [&](const fs::path& path) {
    for (const auto& [part, layers] : rt::read_lora(path, parts)) adapters[part].add(layers);
  };
  const auto numbers = [&] {
    std::int64_t sum = 0;
    for (const auto& [part, own] : adapters) sum += own.numbers;
    return sum;
  };
  for (const std::string& word : s.loras) read(rt::lora_source(word).path);
  const std::int64_t frozen = numbers();
  if (!s.init_lora.empty()) read(s.init_lora);
  const std::int64_t present = numbers();

  rt::UpdateShape shape;
  shape.unet = model.unet;
  shape.vae = model.vae;
  shape.latents = rt::latent_size_of(model.unet, model.vae, s.height, s.width, s.model.string());
  shape.machine = {
      .cpu = device.cpu, .threads = device.threads, .element = device.element, .autocast = s.autocast.has_value()};
  shape.image_element = model.vae.force_upcast ? kFactor : device.element;
  shape.engine = engine(s);
  const TextEncoders which = s.train_text_encoder;
  for (std::size_t i = 0; i < model.text.size(); ++i) {
    rt::SketchTextEncoder text{.config = model.text[i], .tokens = model.text[i].max_position_embeddings};
    const std::string part = i == 0 ? "text_encoder" : "text_encoder_2";
    if (which == TextEncoders::kBoth || which == (i == 0 ? TextEncoders::kFirst : TextEncoders::kSecond))
      text.training = training(s.rank, text_targets(), adapters[part]);
    shape.text.push_back(std::move(text));
  }
  const bool anew = !s.full && s.init_lora.empty();
  if (s.full) shape.training.weights = true;
  shape.training.rank =
      training(anew ? s.rank : 0, anew ? s.targets : std::vector<std::string>(), adapters["unet"]).rank;
  if (reward.reward.needs_clip()) {
    REWARD_TUNER_CHECK(model.judge, "[rt-tune] --reward ", reward.text, " needs a CLIP: expected ",
                       (s.model / "clip").string(), ", got nothing there");
    shape.judge = model.judge;
  }
  shape_course(shape, s, method);

  MemoryPlan plan;
  plan.update = rt::sketch_update(shape);
  const std::int64_t trained = s.full ? model.numbers.at("unet") : plan.update.trained_numbers - frozen;
  for (const auto& [part, count] : model.numbers)
    if (part != "clip" || shape.judge)
      plan.held.emplace_back("weights of " + part, count * (part == "clip"  ? kFactor
                                                            : part == "vae" ? shape.image_element
                                                                            : device.element));
  if (s.full && needs_reference(s, method))
    plan.held.emplace_back("the untuned UNet", model.numbers.at("unet") * device.element);
  if (s.rollout_dtype) plan.held.emplace_back("the UNet for rollouts", model.numbers.at("unet") * 2);
  if (frozen > 0) plan.held.emplace_back("LoRAs of the model", frozen * kFactor);
  if (!s.full) plan.held.emplace_back("trained LoRA", trained * kFactor);
  if (!s.full && s.reference == ReferenceName::kInit)
    plan.held.emplace_back("LoRA of the reference", (present - frozen) * kFactor);
  if (s.optimizer == OptimizerName::kAdamW8bit)  // two codes a weight and a scale for each block of them
    plan.held.emplace_back("AdamW8bit", 2 * trained + 2 * kFactor * trained / rt::AdamW8bitOptions{}.block);
  else plan.held.emplace_back("AdamW", 2 * trained * kFactor);
  if (s.ema > 0) plan.held.emplace_back("average of the weights", trained * kFactor);
  return plan;
}

std::vector<MemorySwitch> memory_switches(const TuneSettings& s, const MethodEntry& method,
                                          std::optional<std::int64_t> beside) {
  std::vector<MemorySwitch> out{{"as given", s}};
  MemorySwitch now{"", s};
  const auto step = [&](const std::string& flags, auto change) {
    change(now.settings);
    now.flags += (now.flags.empty() ? "" : " ") + flags;
    out.push_back(now);
  };
  const auto alone = [&](const std::string& flags, auto change) {
    MemorySwitch other{flags, s};
    change(other.settings);
    out.push_back(std::move(other));
  };
  const bool gradient = method.knows("gradient"), single = s.micro_batch == 1 || (gradient && s.batch == 1);
  if (gradient && s.memory != rt::Memory::kRetain && s.replay_batch == 1)
    alone("--memory retain", [](TuneSettings& t) { t.memory = rt::Memory::kRetain; });
  constexpr std::int64_t kMegabyte = 1'000'000;
  if (gradient && beside && *beside >= kMegabyte) {
    const std::int64_t budget = *beside / kMegabyte * kMegabyte;
    alone("--memory " + rt::byte_size_text(budget), [&](TuneSettings& t) { t.memory = rt::Memory::budget(budget); });
  }
  if (gradient && s.memory != rt::Memory::kReplay)
    step("--memory replay", [](TuneSettings& t) { t.memory = rt::Memory::kReplay; });
  if (gradient && s.replay_batch > 1) step("--replay-batch 1", [](TuneSettings& t) { t.replay_batch = 1; });
  if (s.decode_batch != 1 && !(gradient && single))
    step("--decode-batch 1", [](TuneSettings& t) { t.decode_batch = 1; });
  if (!gradient && s.rows != 1) step("--rows 1", [](TuneSettings& t) { t.rows = 1; });
  if (!s.activation_checkpointing)
    step("--activation-checkpointing", [](TuneSettings& t) { t.activation_checkpointing = true; });
  if (!single) step("--micro-batch 1", [](TuneSettings& t) { t.micro_batch = 1; });
  if (!s.autocast) step("--autocast bfloat16", [](TuneSettings& t) { t.autocast = at::kBFloat16; });
  return out;
}

}  // namespace rt_shared
