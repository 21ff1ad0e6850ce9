// Where the time of one DRTune update goes, by kind of operator: LibTorch reports each operator's begin and end, its
// own time goes to its kind, and what an operator calls inside to the kind that called it.
#ifndef NDEBUG
// as LibTorch's libraries are built: otherwise RecordFunction::inputs() looks at a flag that they do not set. This unit
// has no precompiled header for the same reason
#define NDEBUG
#endif
#include <ATen/record_function.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <initializer_list>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <benchmarks/guarded.hpp>
#include <benchmarks/setting.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/methods/drtune.hpp>

namespace {

using namespace bench;
/// CPU seconds of this thread.
double now() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// One operator that has begun and not ended.
struct Frame : at::ObserverContext {
  std::string kind;
  double begin = 0;
  double inside = 0;  // seconds of the operators it called
};

std::vector<Frame*> open_frames;  // one thread
std::map<std::string, double> seconds_of_kind;
std::map<std::string, std::int64_t> calls_of_kind;
bool by_name = false;  // every outermost operator is a kind of its own

bool has(std::string_view name, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts)
    if (name.find(part) != std::string_view::npos) return true;
  return false;
}

/// The kind of an operator, empty if it only means something within another.
std::string kind_of(const at::RecordFunction& f) {
  const std::string_view name = f.name();
  if (by_name) return std::string(name);
  if (has(name, {"attention", "softmax"})) return "attention";
  if (has(name, {"conv"})) {
    const auto inputs = f.inputs();
    const std::size_t at = has(name, {"backward"}) ? 1 : 0;  // convolution_backward(cotangent, input, ...)
    const bool sequence = inputs.size() > at && inputs[at].isTensor() && inputs[at].toTensor().defined() &&
                          inputs[at].toTensor().dim() == 4 && inputs[at].toTensor().size(2) == 1;
    // apply_linear's large products are 1x1 convolutions of images one row high
    return sequence ? "linear" : "convolution";
  }
  if (has(name, {"linear", "addmm", "matmul", "::mm", "::bmm", "baddbmm"})) return "linear";
  if (has(name, {"norm"})) return "normalization";
  if (has(name, {"silu", "gelu", "sigmoid", "relu"})) return "activation";
  if (has(name, {"copy_", "clone", "contiguous", "::cat", "stack", "upsample"})) return "copies";
  if (has(name, {"::add", "::mul", "::sub", "::div", "::sum", "::mean", "::neg", "::fill_", "::zero"}))
    return "arithmetic";
  return "";
}

std::unique_ptr<at::ObserverContext> begin_operator(const at::RecordFunction& f) {
  auto frame = std::make_unique<Frame>();
  frame->kind = open_frames.empty() || open_frames.back()->kind == "other" ? kind_of(f) : open_frames.back()->kind;
  if (frame->kind.empty()) frame->kind = "other";
  open_frames.push_back(frame.get());
  if (open_frames.size() == 1 || open_frames[open_frames.size() - 2]->kind != frame->kind) ++calls_of_kind[frame->kind];
  frame->begin = now();
  return frame;
}

void end_operator(const at::RecordFunction&, at::ObserverContext* context) {
  if (!context) return;
  auto* frame = static_cast<Frame*>(context);
  const double whole = now() - frame->begin;
  seconds_of_kind[frame->kind] += whole - frame->inside;
  open_frames.pop_back();
  if (!open_frames.empty()) open_frames.back()->inside += whole;
}

rt::DRTune<Symmetry> tuner(const Settings& s, int trained, bool retain, bool autocast) {
  rt::DRTune<Symmetry>::Options o;
  o.sampler = s.sampler();
  o.steps.num_trained = trained;
  o.steps.max_early_stop = 0;
  if (retain) o.engine.memory = rt::Memory::kRetain;
  if (autocast) o.engine.rollout_dtype = o.engine.autocast = at::kBFloat16;
  return rt::DRTune<Symmetry>(symmetry(), o);
}

int run(int argc, char** argv) {
  CLI::App app("Where the time of one DRTune update goes, by kind of operator. Shares of CPU time.", "bench_profile");
  Settings s;
  s.add_to(app);
  int trained = 5, updates = 3;
  bool operators = false, retain = false, autocast = false;
  std::filesystem::path file;
  app.add_option("--trained-steps", trained, "K, trained steps")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--updates", updates, "that are summed, after one more for warm-up")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--operators", operators, "by the name of the outermost operator, not by its kind");
  app.add_flag("--retain", retain, "keep the graphs of trained steps instead of replaying them");
  app.add_flag("--autocast", autocast, "rollout, trained steps and decoder in bfloat16");
  app.add_option("--json", file, "file to write");
  CLI11_PARSE(app, argc, argv);
  prepare_process(1);
  by_name = operators;
  Model model(s);
  auto method = tuner(s, trained, retain, autocast);
  const auto update = [&] {
    model.restart();
    rt::Rng rng(0);
    method.update(model.pipeline, model.optimizer(), prompts(s.batch), rng);
  };
  update();
  const auto handle = at::addGlobalCallback(
      at::RecordFunctionCallback(begin_operator, end_operator).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  const double begin = now();
  for (int i = 0; i < updates; ++i) update();
  const double whole = now() - begin;
  at::removeCallback(handle);

  double inside = 0;
  for (const auto& [kind, seconds] : seconds_of_kind) inside += seconds;
  seconds_of_kind["outside operators"] = whole - inside;
  nlohmann::json out{{"context", context(s)}, {"seconds", whole / updates}, {"kinds", nlohmann::json::array()}};
  std::vector<std::pair<double, std::string>> sorted;
  for (const auto& [kind, seconds] : seconds_of_kind) sorted.emplace_back(seconds, kind);
  std::sort(sorted.rbegin(), sorted.rend());
  for (const auto& [seconds, kind] : sorted) {
    out["kinds"].push_back({{"name", kind}, {"share", seconds / whole}, {"calls", calls_of_kind[kind] / updates}});
    std::cout << kind << ": " << 100 * seconds / whole << "%, " << calls_of_kind[kind] / updates
              << " calls an update\n";
  }
  if (!file.empty()) rt::write_json(file, out);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(run, argc, argv); }
