// A real update loop on a diffusers folder, to be raced against the same loop in another library, and checked against
// its first update. Settings: DDIM eta 1, LoRA on to_q, to_k, to_v, to_out.0, AdamW, the symmetry loss of the DRTune
// paper (Eq. 6, as printed).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <benchmarks/guarded.hpp>
#include <benchmarks/race.hpp>
#include <reward_tuner/core/byte_size.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/methods/alignprop.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/methods/refl.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/step_selection/random_steps.hpp>

namespace {

using namespace bench;

rt::StableDiffusion load(const Settings& s) {
  rt::StableDiffusionOptions options;
  if (const auto type = low_type(s.dtype)) options.dtype = *type;
  options.device = at::Device(s.device);
  options.vae_tiling = s.vae_tiling;
  if (s.layout != "own") options.channels_last = s.layout == "channels-last";
  if (s.attention != "own") options.measured_attention = s.attention == "measured";
  if (s.side > 0) options.height = options.width = s.side;
  return rt::StableDiffusion::load(s.model, options);
}

/// What was run, as JSON: of a dump its own settings.
nlohmann::json in_force(const Settings& s, const nlohmann::json& dump) {
  const auto o = engine_options(s);
  const auto name = [](const std::optional<at::ScalarType>& type, const char* none) {
    return !type ? none : *type == at::kHalf ? "float16" : "bfloat16";
  };
  nlohmann::json out = {{"best", s.best},
                        {"memory", s.best ? "retain" : s.memory},
                        {"rollout_dtype", name(o.rollout_dtype, "same")},
                        {"autocast", name(o.autocast, "off")},
                        {"decode_batch", o.decode_batch},
                        {"replay_batch", o.replay_batch},
                        {"activation_checkpointing", o.activation_checkpointing},
                        {"merge_adapters", o.merge_adapters},
                        {"capture_rollout", o.capture_rollout},
                        {"vae_tiling", s.vae_tiling},
                        {"dtype", s.dtype},
                        {"device", s.device},
                        {"layout", s.layout},
                        {"attention", s.attention},
                        {"threads", s.threads}};
  if (dump.is_null())
    out.update({{"method", s.method},
                {"steps", s.steps},
                {"trained_steps", s.trained},
                {"batch", s.batch},
                {"guidance", s.guidance},
                {"rank", s.rank}});
  else
    out.update({{"method", dump.at("method")},
                {"steps", dump.at("steps")},
                {"trained_steps", dump.at("trained").size()},
                {"batch", dump.at("batch")},
                {"guidance", dump.at("guidance")},
                {"rank", dump.at("rank")}});
  return out;
}

nlohmann::json race_any(const Settings& s, rt::StableDiffusion& pipeline) {
  if (std::ranges::find(kSampled, s.method) != kSampled.end()) return race_sampled(s, pipeline);
  const rt::DdimOptions sampler{.num_steps = s.steps, .guidance = s.guidance, .eta = 1.0};
  const auto engine = engine_options(s);
  if (s.method == "drtune")
    return race(s, pipeline,
                rt::make<rt::DRTune>(
                    symmetry(),
                    {.sampler = sampler, .steps = {.num_trained = s.trained, .max_early_stop = 0}, .engine = engine}));
  if (s.method == "draft")
    return race(
        s, pipeline,
        rt::make<rt::DRaFT>(symmetry(), {.sampler = sampler, .steps = {.num_trained = s.trained}, .engine = engine}));
  if (s.method == "draft-lv")
    return race(s, pipeline, rt::make<rt::DRaFTLV>(symmetry(), {.sampler = sampler, .engine = engine}));
  if (s.method == "refl")
    return race(s, pipeline,
                rt::make<rt::ReFL>(
                    symmetry(), {.sampler = sampler, .steps = {.max_stop = std::min(10, s.steps)}, .engine = engine}));
  if (s.trained > 0)  // a fixed cost: so many steps drawn without replacement
    return race(s, pipeline,
                rt::RewardTuner<Symmetry, rt::PassInput, rt::RandomSteps>(
                    symmetry(), {.sampler = sampler, .steps = {.num_trained = s.trained}, .engine = engine}));
  return race(s, pipeline, rt::make<rt::AlignProp>(symmetry(), {.sampler = sampler, .engine = engine}));
}

/// Another library's first update again: its start of the LoRA, its noise, its embeddings, its trained steps.
template <class Stop>
nlohmann::json check(const Settings& s, rt::StableDiffusion& pipeline, const nlohmann::json& dump, const Stop& stop) {
  const auto T = dump.at("steps").get<int>(), t_min = dump.at("t_min").get<int>();
  const auto batch = dump.at("batch").get<std::int64_t>();
  const auto file = [&](const char* name) { return rt::SafetensorsFile::open(s.check / name); };
  const auto lora = attach(pipeline, dump.at("rank").get<std::int64_t>());
  const auto start = file("lora.safetensors"), wanted = file("grads.safetensors"), inputs = file("inputs.safetensors");
  const auto theirs = [](std::string name) { return name.insert(name.rfind(".weight"), ".default"); };
  {
    const torch::NoGradGuard no_grad;
    for (auto& [name, value] : lora.named_parameters()) value.copy_(start.tensor(theirs(name)));
  }
  rt::StepPlan plan{.last = T - std::max(t_min, 1), .jumps = t_min > 0, .trained = {}};
  for (const auto& t : dump.at("trained"))
    if (const int k = T - t.get<int>(); k <= plan.last) plan.trained.insert(plan.trained.begin(), k);
  if (dump.at("method") == "draft-lv") plan.replicas = 2;
  const at::Device device = pipeline.latent_options().device();
  std::vector<Tensor> blocks;
  for (int i = 0; inputs.contains("z" + std::to_string(i)); ++i)
    blocks.push_back(inputs.tensor("z" + std::to_string(i)).to(device));
  rt::SampleNoise noise = rt::SampleNoise::recorded(blocks);
  const double guidance = dump.at("guidance").get<double>();
  const Tensor embeddings = inputs.tensor("embeds").to(device);  // [2B,L,D], or [B,L,D] without guidance
  const rt::Conditioning positive{embeddings.narrow(0, embeddings.size(0) - batch, batch)};
  const rt::Condition condition{positive, guidance == 1 ? positive : rt::Conditioning{embeddings.narrow(0, 0, batch)},
                                prompts(static_cast<int>(batch))};
  const auto schedule = rt::Ddim({.num_steps = T, .guidance = guidance, .eta = dump.at("eta").get<double>()})
                            .schedule(pipeline.noise_schedule());
  const rt::RolloutSetup setup = rt::sampling_setup(schedule, condition, guidance).with(plan);

  const auto options = engine_options(s);
  rt::ConfiguredPipeline<rt::StableDiffusion> configured(pipeline, options);
  rt::NetworkCounts counts;
  const auto reward = symmetry();
  double loss = 0;
  const double part = 1.0 / (1 + plan.replicas);
  const auto differentiate = [&](const rt::Trajectory& trajectory, rt::RetainedCalls* kept) {
    const auto scored = rt::reward_gradient(
        configured, reward, {trajectory.clean, condition.prompts, noise.seeds()}, [](const Tensor& r) { return -r; },
        options.decode_batch);
    const double each = part / static_cast<double>(batch);
    loss += each * scored.loss;
    rt::adjoint_sweep(configured, trajectory, each * scored.gradient, stop, counts,
                      {.replay_batch = options.replay_batch, .retained = kept});
  };
  const auto retention = [&](const rt::StepPlan& p) {
    return rt::RetainedCalls{[&stop, p](int k) { return rt::enters_input(stop, p, k); }};
  };
  const bool keep = options.memory == rt::Memory::kRetain;
  rt::RetainedCalls retained = retention(plan);
  const auto trajectory = rt::rollout(configured, setup, noise, counts, {.retained = keep ? &retained : nullptr});
  differentiate(trajectory, keep ? &retained : nullptr);
  for (int i = 0; i < plan.replicas; ++i) {
    rt::RetainedCalls own = retention(rt::replica_plan(T));
    differentiate(rt::renoised(configured, trajectory, noise, counts, keep ? &own : nullptr), keep ? &own : nullptr);
  }

  double difference = 0, size = 0, product = 0, ours = 0;
  for (const auto& [name, value] : lora.named_parameters()) {
    const Tensor want = wanted.tensor(theirs(name)).to(at::kDouble);
    const Tensor have = value.grad().cpu().to(at::kDouble);
    difference += (have - want).square().sum().item<double>();
    size += want.square().sum().item<double>();
    ours += have.square().sum().item<double>();
    product += (have * want).sum().item<double>();
  }
  const double want = dump.at("loss").get<double>();
  return {{"gradient_relative_error", std::sqrt(difference / size)},
          {"gradient_cosine", product / std::sqrt(size * ours)},
          {"loss_error", std::abs(loss - want) / std::abs(want)},
          {"loss", loss},
          {"network", {{"forwards", counts.forwards}, {"backwards", counts.backwards}}}};
}

int run(int argc, char** argv) {
  CLI::App app("Races an update loop: seconds and peak bytes of every update as JSON.", "bench_race");
  Settings s;
  app.add_option("--model", s.model, "diffusers folder")->required();
  std::vector<std::string> methods = kDirect;
  methods.insert(methods.end(), kSampled.begin(), kSampled.end());
  app.add_option("--method", s.method, "of the reward's gradient, or of sampled images (with --memory replay)")
      ->check(CLI::IsMember(methods))
      ->capture_default_str();
  app.add_option("--steps", s.steps, "T, sampler steps")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--trained-steps", s.trained,
                 "K, trained steps of drtune and draft, and of alignprop with a fixed cost (0: its own random number)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--batch", s.batch, "images an update")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--guidance", s.guidance, "guidance scale")->capture_default_str();
  app.add_option("--rank", s.rank, "rank of the LoRA")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--memory", s.memory, "replay, retain, or a size that the tensors of an update fit into: 2GB")
      ->check([](const std::string& word) {
        const bool known = word == "replay" || word == "retain" || rt::parse_byte_size(word);
        return known ? std::string() : "expected replay, retain or a size with its unit (2GB), got '" + word + "'";
      })
      ->capture_default_str();
  app.add_option("--threads", s.threads, "threads of a tensor operation")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--updates", s.updates, "timed updates")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--warm-up", s.warm_up, "updates before those")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--side", s.side, "pixels of an image's side; 0: the model's own")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--device", s.device, "cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--dtype", s.dtype, "of the frozen weights")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
      ->capture_default_str();
  app.add_option("--layout", s.layout, "of images in UNet and VAE; own: the device's")
      ->check(CLI::IsMember({"own", "channels-last", "channels-first"}))
      ->capture_default_str();
  app.add_option("--attention", s.attention, "kernel of calls without gradient; own: measured on a card")
      ->check(CLI::IsMember({"own", "measured", "libtorch"}))
      ->capture_default_str();
  app.add_option("--replay-batch", s.replay_batch, "trained steps replayed in one call (drtune)")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--decode-batch", s.decode_batch, "images decoded at a time; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--rollout-dtype", s.rollout_dtype, "of steps without gradient; same: as trained ones")
      ->check(CLI::IsMember({"same", "bfloat16", "float16"}))
      ->capture_default_str();
  app.add_option("--autocast", s.autocast, "of network and decoder, but for what --rollout-dtype covers")
      ->check(CLI::IsMember({"off", "bfloat16"}))
      ->capture_default_str();
  app.add_flag("--capture-rollout", s.capture, "network calls of rollouts are captured, on a card");
  app.add_flag("--activation-checkpointing", s.activation_checkpointing, "inside the UNet");
  app.add_flag("--vae-tiling", s.vae_tiling, "the VAE in strips of rows");
  app.add_flag("--adapters-apart", s.apart, "do not merge the LoRA in rollouts");
  auto* best = app.add_flag("--best", s.best,
                            "the fastest documented settings: retained graphs, rollout and trained steps in bfloat16");
  for (const char* own : {"--replay-batch", "--decode-batch", "--rollout-dtype", "--autocast",
                          "--activation-checkpointing", "--adapters-apart"})
    best->excludes(own);
  app.add_option("--json", s.json, "file to write; the standard output always has it too");
  app.add_option("--check-dump", s.check,
                 "folder of another library's first update; compares loss and gradients with it instead of racing");
  app.add_option("--tolerance", s.tolerance, "with --check-dump: exit with 3 if an error is larger; 0: only report")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (!(s.tolerance >= 0 && std::isfinite(s.tolerance)))
    throw std::runtime_error("--tolerance expected a finite number >= 0, got " + std::to_string(s.tolerance));
  if (!s.check.empty() && engine_options(s).memory.way() == rt::Memory::kBudget)
    throw std::runtime_error("--check-dump makes one update: expected --memory replay or retain, got " + s.memory);
  if (std::ranges::find(kSampled, s.method) != kSampled.end() && (s.best || s.memory != "replay"))
    throw std::runtime_error("--method " + s.method + " keeps no graphs: expected --memory replay, got " +
                             (s.best ? "--best" : s.memory));
  bench::prepare_process(s.threads);
  const bench::Clock loading;
  auto pipeline = load(s);
  const nlohmann::json load_seconds = {{"wall", loading.wall()}, {"cpu", loading.cpu()}};
  nlohmann::json out, dump;
  if (s.check.empty()) {
    out = race_any(s, pipeline);
  } else {
    dump = rt::read_json(s.check / "dump.json");
    const std::string method = dump.at("method").get<std::string>();
    out = method == "drtune" || method == "refl" ? check(s, pipeline, dump, rt::StopInput())
                                                 : check(s, pipeline, dump, rt::PassInput());
  }
  out["load"] = load_seconds;
  out["settings"] = in_force(s, dump);
  std::cout << out.dump(1) << '\n';
  if (!s.json.empty()) rt::write_json(s.json, out);
  const auto beyond = [&](const char* error) {
    return out.contains(error) && !(out.at(error).get<double>() <= s.tolerance);
  };
  return s.tolerance > 0 && (beyond("gradient_relative_error") || beyond("loss_error")) ? 3 : 0;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(run, argc, argv); }
