// The engine's options on one DRTune update: time, peak tensor bytes, network calls, and the cosine between the
// gradient and that of the plain settings (replay, float32, adapters merged in the rollout).
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <benchmarks/google.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/draft_lv.hpp>
#include <reward_tuner/methods/drtune.hpp>

namespace {

using namespace bench;

struct Variant {
  std::string name;
  rt::EngineOptions engine;
};

std::vector<Variant> variants() {
  std::vector<Variant> all;
  const auto add = [&all](std::string name, const std::function<void(rt::EngineOptions&)>& change) {
    Variant v{std::move(name), {}};
    change(v.engine);
    all.push_back(std::move(v));
  };
  add("replay", [](auto&) {});
  add("retain", [](auto& o) { o.memory = rt::Memory::kRetain; });
  for (const int m : {2, 5}) add("replay/replay_batch:" + std::to_string(m), [m](auto& o) { o.replay_batch = m; });
  for (const int m : {1, 2, 4}) add("replay/decode_batch:" + std::to_string(m), [m](auto& o) { o.decode_batch = m; });
  add("retain/decode_batch:4", [](auto& o) { o.memory = rt::Memory::kRetain, o.decode_batch = 4; });
  add("replay/micro_batch:4", [](auto& o) { o.micro_batch = 4; });
  add("replay/adapters_apart", [](auto& o) { o.merge_adapters = false; });
  add("replay/rollout_dtype:bfloat16", [](auto& o) { o.rollout_dtype = at::kBFloat16; });
  add("retain/rollout_dtype:bfloat16",
      [](auto& o) { o.memory = rt::Memory::kRetain, o.rollout_dtype = at::kBFloat16; });
  add("replay/autocast:bfloat16", [](auto& o) { o.autocast = at::kBFloat16; });
  add("retain/rollout_dtype:bfloat16/autocast:bfloat16",
      [](auto& o) { o.memory = rt::Memory::kRetain, o.rollout_dtype = o.autocast = at::kBFloat16; });
  add("replay/activation_checkpointing", [](auto& o) { o.activation_checkpointing = true; });
  add("retain/activation_checkpointing",
      [](auto& o) { o.memory = rt::Memory::kRetain, o.activation_checkpointing = true; });
  return all;
}

template <class Tuner>
void add(const Settings& s, const std::shared_ptr<Model>& model, const std::string& name,
         typename Tuner::Options options, const std::shared_ptr<Tensor>& plain) {
  const auto tuner = std::make_shared<Tuner>(symmetry(), options);
  const auto once = [=](benchmark::State& state) {
    rt::Rng rng(0);
    const rt::UpdateReport report = tuner->update(model->pipeline, model->optimizer(), prompts(s.batch), rng);
    state.counters["peak_tensor_bytes"] = static_cast<double>(report.peak_tensor_bytes);
    state.counters["forwards"] = static_cast<double>(report.forwards);
    state.counters["backwards"] = static_cast<double>(report.backwards);
  };
  add_update(
      s, name, [model] { model->restart(); }, once,
      [=](benchmark::State& state) {
        if (plain) state.counters["gradient_cosine"] = cosine(*plain, model->gradient());
      });
}

using Tuner = rt::DRTune<Symmetry>;

Tuner::Options options(const Settings& s, const rt::EngineOptions& engine) {
  Tuner::Options o;
  o.sampler = s.sampler();
  o.steps.num_trained = std::min(5, s.steps);
  o.steps.max_early_stop = 0;
  o.engine = engine;
  return o;
}

void add_methods(const Settings& s, const std::shared_ptr<Model>& model) {
  const auto early = [&] {
    auto o = options(s, {});
    o.steps.max_early_stop = -1;
    return o;
  };
  add<Tuner>(s, model, "method/DRTune/K:5", early(), nullptr);
  for (const int trained : {1, 5}) {
    rt::DRaFT<Symmetry>::Options o;
    o.sampler = s.sampler();
    o.steps.num_trained = std::min(trained, s.steps);
    add<rt::DRaFT<Symmetry>>(s, model, "method/DRaFT/K:" + std::to_string(trained), o, nullptr);
  }
  rt::DRaFTLV<Symmetry>::Options o;
  o.sampler = s.sampler();
  add<rt::DRaFTLV<Symmetry>>(s, model, "method/DRaFT-LV", o, nullptr);
}

void add_all(const Settings& s) {
  const auto model = std::make_shared<Model>(s);
  model->restart();
  rt::Rng rng(0);
  // the gradient that others are compared with
  Tuner(symmetry(), options(s, {})).update(model->pipeline, model->optimizer(), prompts(s.batch), rng);
  const auto plain = std::make_shared<Tensor>(model->gradient());
  for (const Variant& v : variants()) add<Tuner>(s, model, "DRTune/" + v.name, options(s, v.engine), plain);
  add_methods(s, model);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_google(argc, argv, "The engine's options on one DRTune update with K = 5.", add_all);
}
