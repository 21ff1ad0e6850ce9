// The bounds this library promises to keep, as ratios within one run: the tuner against a hand-written loop, an update
// against the sum of its blocks, and peak bytes over K, T and decode chunks. Everything is measured in turn, round by
// round, in process CPU seconds; a ratio is formed in every round and its median is held against the bound. Exit status
// 0 whatever the times are, 2 when the tuner and the hand-written loop do not compute the same gradient.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <benchmarks/guarded.hpp>
#include <benchmarks/hand_written.hpp>
#include <benchmarks/setting.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/drtune.hpp>

namespace {

using namespace bench;
using nlohmann::json;

struct BoundSettings : Settings {
  int trained = 5, rounds = 7;
  bool smoke = false, memory_only = false;
  std::filesystem::path json;
};

double quantile(std::vector<double> v, double q) {
  std::sort(v.begin(), v.end());
  const double at = q * static_cast<double>(v.size() - 1);
  const auto i = static_cast<std::size_t>(at);
  return i + 1 < v.size() ? v[i] + (at - static_cast<double>(i)) * (v[i + 1] - v[i]) : v[i];
}

/// What is measured in turn: seconds a call, one number a round.
struct Block {
  std::string name;
  int calls = 1;
  std::function<void()> before, once;
  std::vector<double> seconds = {};
};

/// Round robin; every other round goes backwards, so that nobody always runs behind the same neighbor.
void measure(std::vector<Block>& blocks, int rounds) {
  for (Block& b : blocks) {  // warm-up
    b.before();
    b.once();
  }
  for (int round = 0; round < rounds; ++round) {
    std::cerr << "round " << round + 1 << " of " << rounds << std::flush;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      Block& b = blocks[round % 2 == 0 ? i : blocks.size() - 1 - i];
      b.before();
      const Clock clock;
      for (int call = 0; call < b.calls; ++call) b.once();
      b.seconds.push_back(clock.cpu() / b.calls);
      std::cerr << '.' << std::flush;
    }
    std::cerr << '\n';
  }
}

struct Row {
  std::string what;
  double bound = 0, low = 0, median = 0, high = 0;
  std::string unit = "ratio";
};

/// Ratio of two lists, round by round.
Row ratio(std::string what, double bound, const std::vector<double>& above, const std::vector<double>& below) {
  std::vector<double> r;
  for (std::size_t i = 0; i < above.size(); ++i) r.push_back(above[i] / below[i]);
  return {std::move(what), bound, quantile(r, 0.25), quantile(r, 0.5), quantile(r, 0.75)};
}

template <class Tuner>
typename Tuner::Options tuner_options(const BoundSettings& s, rt::Memory memory) {
  typename Tuner::Options o;
  o.sampler = s.sampler();
  o.steps.num_trained = s.trained;
  o.engine.memory = memory;
  return o;
}

rt::DRTune<Symmetry> drtune(const BoundSettings& s, rt::Memory memory) {
  auto options = tuner_options<rt::DRTune<Symmetry>>(s, memory);
  options.steps.max_early_stop = 0;
  return rt::DRTune<Symmetry>(symmetry(), options);
}
rt::DRaFT<Symmetry> draft(const BoundSettings& s, rt::Memory memory) {
  return rt::DRaFT<Symmetry>(symmetry(), tuner_options<rt::DRaFT<Symmetry>>(s, memory));
}

template <class Tuner>
std::function<void()> tuned(const BoundSettings& s, Model& model, Tuner tuner) {
  const auto shared = std::make_shared<Tuner>(std::move(tuner));
  return [&model, shared, batch = s.batch] {
    rt::Rng rng(0);
    shared->update(model.pipeline, model.optimizer(), prompts(batch), rng);
  };
}

HandWrittenSettings loop_settings(const BoundSettings& s, bool last_steps, bool checkpoint) {
  HandWrittenSettings h;
  h.steps = s.steps;
  h.trained = s.trained;
  h.guidance = s.guidance;
  h.last_steps = last_steps;
  h.checkpoint = checkpoint;
  return h;
}

/// The parts an update is made of, each as an eager program would run it.
class Parts {
 public:
  Parts(const BoundSettings& s, Model& model) : s_(s), model_(model) {
    const auto condition = model.pipeline.encode(prompts(s.batch));
    embeddings_ = at::cat({condition.negative.embeddings, condition.positive.embeddings});
    rt::Rng rng(3);
    x_ = rng.normal(model.pipeline.latent_shape(s.batch));
    cotangent_ = rng.normal(model.pipeline.latent_shape(s.batch));
  }
  void forward() const {
    const torch::NoGradGuard no_grad;
    guided(x_);
  }
  void forward_backward(bool with_input) const {
    torch::autograd::backward({guided(x_.detach().requires_grad_(with_input))}, {cotangent_});
  }
  void decode_reward() const {
    const Tensor leaf = x_.detach().requires_grad_();
    torch::autograd::grad({rt::literal_symmetry_error(model_.pipeline.decode(leaf)).sum()}, {leaf});
  }
  void optimizer_step() const { model_.optimizer().step(); }
  void merge() { merged_.emplace(model_.pipeline.unet(), rt::AdapterMode::kMerged); }
  void unmerge() { merged_.reset(); }

 private:
  Tensor guided(const Tensor& x) const {
    // [2B,C,h,w]
    const Tensor both =
        model_.pipeline.unet().forward(at::cat({x, x}), at::full({2 * x.size(0)}, 501, at::kLong), embeddings_);
    const auto halves = both.chunk(2);
    return halves[0] + s_.guidance * (halves[1] - halves[0]);
  }
  const BoundSettings& s_;
  Model& model_;
  Tensor embeddings_, x_, cotangent_;
  std::optional<rt::AdapterScope> merged_;
};

struct Comparison {
  std::string name;
  std::function<void()> tuner, loop;
  std::shared_ptr<HandWritten> hand;
};

std::vector<Comparison> comparisons(const BoundSettings& s, Model& model) {
  std::vector<Comparison> out;
  const auto add = [&](const std::string& name, std::function<void()> tuner, bool last_steps, bool checkpoint) {
    const auto hand = std::make_shared<HandWritten>(model.pipeline, model.lora.parameters(),
                                                    loop_settings(s, last_steps, checkpoint));
    out.push_back({name, std::move(tuner),
                   [hand, batch = s.batch] {
                     rt::Rng rng(0);
                     hand->update(prompts(batch), rng);
                   },
                   hand});
  };
  add("DRTune, retain", tuned(s, model, drtune(s, rt::Memory::kRetain)), false, false);
  add("DRTune, replay", tuned(s, model, drtune(s, rt::Memory::kReplay)), false, true);
  add("DRaFT, retain", tuned(s, model, draft(s, rt::Memory::kRetain)), true, false);
  add("DRaFT, replay", tuned(s, model, draft(s, rt::Memory::kReplay)), true, true);
  return out;
}

/// Largest relative difference of the two loops' gradients.
double gradient_difference(Model& model, const std::vector<Comparison>& all) {
  double worst = 0;
  for (const Comparison& c : all) {
    model.restart();
    c.tuner();
    const Tensor ours = model.gradient();
    model.restart();
    c.hand->forget();
    c.loop();
    const Tensor theirs = model.gradient();
    worst = std::max(worst, ((ours - theirs).norm() / theirs.norm()).item<double>());
  }
  return worst;
}

void time_rows(const BoundSettings& s, Model& model, std::vector<Row>& rows, json& out) {
  const auto compared = comparisons(s, model);
  const double difference = gradient_difference(model, compared);
  out["gradient_relative_difference"] = difference;

  std::vector<Block> blocks;
  for (const Comparison& c : compared) {
    blocks.push_back({c.name + ": tuner", 1, [&model] { model.restart(); }, c.tuner});
    blocks.push_back({c.name + ": hand-written", 1,
                      [&model, hand = c.hand] {
                        model.restart();
                        hand->forget();
                      },
                      c.loop});
  }
  Parts parts(s, model);
  const int calls = s.smoke ? 1 : std::max(2, s.steps / 5);
  const std::size_t first = blocks.size();
  const auto plain = [&] { parts.unmerge(); };
  blocks.push_back({"forward", 2 * calls, [&] { parts.merge(); }, [&] { parts.forward(); }});
  blocks.push_back({"forward, backward to the LoRA", calls, plain, [&] { parts.forward_backward(false); }});
  blocks.push_back({"forward, backward to LoRA and input", calls, plain, [&] { parts.forward_backward(true); }});
  blocks.push_back({"decode, reward, backward", std::max(1, calls / 2), plain, [&] { parts.decode_reward(); }});
  blocks.push_back({"optimizer step", calls, plain, [&] { parts.optimizer_step(); }});
  // the block "forward" leaves the adapters merged: whoever comes next takes them apart
  for (std::size_t i = 0; i < first; ++i) {
    const auto own = blocks[i].before;
    blocks[i].before = [&parts, own] {
      parts.unmerge();
      own();
    };
  }
  measure(blocks, s.rounds);

  for (std::size_t i = 0; i < compared.size(); ++i)
    rows.push_back(ratio(compared[i].name + ": tuner / hand-written loop", 1.02, blocks[2 * i].seconds,
                         blocks[2 * i + 1].seconds));
  const auto at = [&](std::size_t block, std::size_t round) { return blocks[first + block].seconds[round]; };
  for (std::size_t i = 0; i < compared.size(); ++i) {
    const bool last_steps = i >= 2, replays = i % 2 == 1;
    std::vector<double> floor;
    for (std::size_t r = 0; r < static_cast<std::size_t>(s.rounds); ++r) {
      // the first trained step of DRaFT needs no input gradient
      const double with_gradient = last_steps ? (s.trained - 1) * at(2, r) + at(1, r) : s.trained * at(1, r);
      floor.push_back((s.steps - (replays ? 0 : s.trained)) * at(0, r) + with_gradient + at(3, r));
    }
    rows.push_back(ratio(compared[i].name + (replays ? ": update / (T+K forwards + K backwards + decode and reward)"
                                                     : ": update / (T forwards + K backwards + decode and reward)"),
                         1.03, blocks[2 * i].seconds, floor));
  }
  json seconds;
  for (const Block& b : blocks)
    seconds.push_back({{"name", b.name},
                       {"median", quantile(b.seconds, 0.5)},
                       {"low", quantile(b.seconds, 0.25)},
                       {"high", quantile(b.seconds, 0.75)},
                       {"rounds", b.seconds}});
  out["cpu_seconds"] = seconds;
}

std::int64_t peak(const BoundSettings& s, Model& model, int steps, int trained, int decode_batch) {
  BoundSettings own = s;
  own.steps = steps;
  own.trained = trained;
  auto options = tuner_options<rt::DRTune<Symmetry>>(own, rt::Memory::kReplay);
  options.steps.max_early_stop = 0;
  options.engine.decode_batch = decode_batch;
  rt::DRTune<Symmetry> tuner(symmetry(), options);
  model.restart();
  rt::Rng rng(0);
  return tuner.update(model.pipeline, model.optimizer(), prompts(s.batch), rng).peak_tensor_bytes;
}

/// Whether the model has the widths of the random one that the Python loop's peak was measured on
/// (make_random_model.py), on which the bytes of an update depend and on nothing else.
bool has_the_widths_of_the_random_model(Model& model) {
  const auto unet = model.pipeline.unet().config().to_json();
  const auto vae = rt::read_json(model.pipeline.folder() / "vae" / "config.json");
  return unet.at("block_out_channels") == json({48, 96}) && unet.at("layers_per_block") == 1 &&
         unet.at("sample_size") == 16 && unet.at("cross_attention_dim") == 64 &&
         vae.at("block_out_channels") == json({32, 64, 64}) && vae.at("layers_per_block") == 1;
}

void memory_rows(const BoundSettings& s, Model& model, std::vector<Row>& rows, json& out) {
  // MiB, DRTune with checkpointed trained steps in a Python loop of diffusers and peft, T = 10..50, batch 8, on the
  // random model
  constexpr double kPythonPeak = 125.3;
  json peaks;
  for (const int chunk : {0, 4}) {
    std::vector<double> all;
    for (const int steps : s.smoke ? std::vector<int>{2, 4} : std::vector<int>{10, 20, 50})
      for (const int trained : s.smoke ? std::vector<int>{1, 2} : std::vector<int>{1, 5, 10}) {
        const auto bytes = peak(s, model, steps, trained, chunk);
        peaks.push_back(
            {{"steps", steps}, {"trained", trained}, {"decode_batch", chunk}, {"peak_tensor_bytes", bytes}});
        all.push_back(static_cast<double>(bytes));
        std::cerr << "peak of T " << steps << ", K " << trained << ", decode_batch " << chunk << ": "
                  << static_cast<double>(bytes) / (1 << 20) << " MiB\n";
      }
    const std::string name = chunk == 0 ? "replay, all images decoded at once" : "replay, decode_batch 4";
    const double lowest = quantile(all, 0), highest = quantile(all, 1);
    rows.push_back(
        {name + ": largest / smallest peak over K and T", 1.05, highest / lowest, highest / lowest, highest / lowest});
    if (chunk == 4 && s.batch == 8 && has_the_widths_of_the_random_model(model)) {
      const double share = highest / (kPythonPeak * (1 << 20));
      rows.push_back({name + ": peak / peak of the checkpointed Python loop (125.3 MiB)", 0.5, share, share, share});
    }
  }
  out["peaks"] = peaks;
}

int run(int argc, char** argv) {
  CLI::App app("Ratios of one run against their bounds, as a table and as JSON.", "bench_bounds");
  BoundSettings s;
  s.add_to(app);
  app.add_option("--trained-steps", s.trained, "K, trained steps")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--rounds", s.rounds, "of measuring everything in turn")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--json", s.json, "file to write");
  app.add_flag("--smoke", s.smoke, "a few steps, one round: whether it works, not how fast it is");
  app.add_flag("--memory-only", s.memory_only, "peak bytes alone");
  CLI11_PARSE(app, argc, argv);
  if (s.smoke) s.steps = 4, s.trained = 2, s.batch = 2, s.rounds = 1;
  prepare_process(s.threads);
  Model model(s);
  std::vector<Row> rows;
  json out{{"context", context(s)}};
  out["context"]["trained"] = std::to_string(s.trained);
  out["context"]["rounds"] = std::to_string(s.rounds);
  if (!s.memory_only) time_rows(s, model, rows, out);
  memory_rows(s, model, rows, out);

  std::size_t width = 0;
  for (const Row& row : rows) width = std::max(width, row.what.size());
  std::cout << std::left << std::setw(static_cast<int>(width)) << "bound" << "  at most   found   (quartiles)\n"
            << std::fixed << std::setprecision(3);
  for (const Row& row : rows) {
    const bool kept = row.median <= row.bound;
    std::cout << std::left << std::setw(static_cast<int>(width)) << row.what << "    " << row.bound << "   "
              << row.median << "   (" << row.low << " .. " << row.high << ")" << (kept ? "" : "  MISSED") << '\n';
    out["bounds"].push_back({{"name", row.what},
                             {"bound", row.bound},
                             {"median", row.median},
                             {"low", row.low},
                             {"high", row.high},
                             {"kept", kept}});
  }
  if (!s.json.empty()) rt::write_json(s.json, out);
  if (s.memory_only) return 0;
  const double difference = out.at("gradient_relative_difference").get<double>();
  std::cout << "largest relative difference of the gradients, tuner against hand-written loop: " << std::scientific
            << std::setprecision(1) << difference << '\n';
  if (difference <= 1e-3) return 0;
  std::cerr << "error: the tuner and the hand-written loop do not compute the same gradient\n";
  return 2;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(run, argc, argv); }
