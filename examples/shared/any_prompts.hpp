// A run's prompts: a list in memory, or a file that is read as it is drawn from.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/run/prompt_stream.hpp>
#include <reward_tuner/run/run_fingerprint.hpp>

namespace rt_shared {

/// A PromptSet or a PromptStream, behind one type. A set counts as one that stands at its beginning: its draws come
/// from the run's random stream.
class AnyPrompts {
 public:
  /// Reads a file: JSON lines, or any file with `stream`, as it is drawn from, in an order of its own by `seed`; else
  /// at once.
  static AnyPrompts from_file(const std::filesystem::path& file, bool stream, std::uint64_t seed,
                              const std::string& field = "prompt") {
    if (stream || reward_tuner::prompt_format(file) == reward_tuner::PromptFormat::kJsonl)
      return AnyPrompts(reward_tuner::PromptStream(file, {.seed = seed, .field = field}));
    return AnyPrompts(reward_tuner::PromptSet::from_file(file, {.field = field}));
  }

  bool streamed() const { return std::holds_alternative<reward_tuner::PromptStream>(held_); }
  std::vector<std::string> draw(int count, reward_tuner::Rng& rng) {
    return std::visit([&](auto& prompts) { return prompts.draw(count, rng); }, held_);
  }
  std::size_t size() const {
    return std::visit([](const auto& prompts) { return prompts.size(); }, held_);
  }
  std::string digest() const {
    if (const auto* set = std::get_if<reward_tuner::PromptSet>(&held_)) return reward_tuner::digest(set->prompts());
    return std::get<reward_tuner::PromptStream>(held_).digest();
  }
  reward_tuner::PromptStreamState state() const {
    if (const auto* stream = std::get_if<reward_tuner::PromptStream>(&held_)) return stream->state();
    return {};
  }
  void load_state(const reward_tuner::PromptStreamState& state) {
    if (auto* stream = std::get_if<reward_tuner::PromptStream>(&held_)) stream->load_state(state);
  }
  /// All of them, of a set; of a stream the first `count` that a copy of it draws.
  std::vector<std::string> some(int count) const {
    if (const auto* set = std::get_if<reward_tuner::PromptSet>(&held_)) return set->prompts();
    reward_tuner::PromptStream copy = std::get<reward_tuner::PromptStream>(held_);
    copy.load_state({});
    return copy.draw(static_cast<int>(std::min<std::size_t>(copy.size(), static_cast<std::size_t>(count))));
  }
  /// Calls `f` with each of them, in the file's order.
  template <class F>
  void each(F f) const {
    if (const auto* set = std::get_if<reward_tuner::PromptSet>(&held_)) {
      for (const std::string& prompt : set->prompts()) f(prompt);
      return;
    }
    const auto& stream = std::get<reward_tuner::PromptStream>(held_);
    for (reward_tuner::PromptReader in(stream.path(), {stream.options().format, stream.options().field}); in.next();)
      f(in.prompt());
  }

 private:
  explicit AnyPrompts(std::variant<reward_tuner::PromptSet, reward_tuner::PromptStream> held)
      : held_(std::move(held)) {}

  std::variant<reward_tuner::PromptSet, reward_tuner::PromptStream> held_;
};

}  // namespace rt_shared
